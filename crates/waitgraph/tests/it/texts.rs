//! What people and programs read.

use pipeclog_waitgraph::render;

use crate::deadlocks::wait_then_read;

#[test]
fn the_text_for_people() {
    let s = wait_then_read();
    println!("{}", render::human(s.diagnose(812).report(), 100));
    println!("{}", render::markdown(s.diagnose(812).report()));
    println!("{}", render::dot(s.diagnose(812).report()));
    println!("{}", render::json(s.diagnose(812).report()).unwrap());
}

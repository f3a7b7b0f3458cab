//! Whatever a file of `/proc` says, its parser says yes or no, and does not panic. The first byte chooses the parser.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use pipeclog_procscan::parse::{
    self, CallLine, FdInfo, Hierarchy, LinkName, Lock, Maps, Mounts, Stat, Status,
};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    match choice % 13 {
        0 => drop(black_box(Stat::parse(text))),
        1 => drop(black_box(Status::parse(text))),
        2 => drop(black_box(CallLine::parse(text))),
        3 => drop(black_box(FdInfo::parse(text))),
        4 => {
            black_box(LinkName::parse(text));
        }
        5 => drop(black_box(Lock::parse_all(text))),
        6 => drop(black_box(Maps::parse(text))),
        7 => {
            let mounts = Mounts::parse(text);
            black_box(mounts.kind_of((0, 5)));
            black_box(
                mounts
                    .at(b"/proc")
                    .and_then(|mount| mount.option(b"hidepid")),
            );
        }
        8 => drop(black_box(parse::timer_signals(text))),
        9 => drop(black_box(parse::timer_counts(text))),
        10 => {
            black_box(parse::cgroups(text).count());
            black_box(parse::is_frozen(Hierarchy::Unified, text));
        }
        11 => {
            black_box(parse::word_size(text));
        }
        _ => {
            black_box((parse::forks(text), parse::boot_ms(text), parse::count(text)));
        }
    }
});

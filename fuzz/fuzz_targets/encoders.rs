//! Foreign bytes come back from their escaped form, and no encoder lets a control character through.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeclog_waitgraph::Untrusted;

fuzz_target!(|data: &[u8]| {
    let bytes = Untrusted::from(data);
    assert_eq!(
        Untrusted::from_escaped(&bytes.escaped()).as_ref(),
        Ok(&bytes)
    );
    let encoded = [
        bytes.terminal(80),
        bytes.shell_word(),
        bytes.markdown(),
        bytes.dot(),
        bytes.mermaid(),
        bytes.workflow(),
    ];
    for text in encoded {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
});

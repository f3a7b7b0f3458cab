use super::*;

fn capacity(new: NewPipe) -> Option<u64> {
    new.geometry().map(Geometry::capacity_bytes)
}

#[test]
fn the_first_1024_pipes_are_usual_and_the_next_is_shrunk() {
    let limits = Limits::DEFAULT;
    let give = |pipes: u64| {
        limits
            .new_pipe(pipes * 16, Privilege::Ordinary)
            .expect("a geometry")
    };
    assert_eq!(give(0), NewPipe::Usual(Geometry::DEFAULT));
    assert_eq!(give(1023), NewPipe::Usual(Geometry::DEFAULT));
    assert!(matches!(give(1024), NewPipe::Shrunk(_)));
    assert_eq!(capacity(give(1024)), Some(8192));
    assert_eq!(limits.usual_pipes_left(1023 * 16), Some(1));
    assert_eq!(limits.usual_pipes_left(1024 * 16), Some(0));
}

#[test]
fn some_63_pipes_of_a_mebibyte_reach_the_soft_limit() {
    let limits = Limits::DEFAULT;
    let mut pages = 0;
    let mut grown = 0;
    while let Ok(NewPipe::Usual(now)) = limits.new_pipe(pages, Privilege::Ordinary) {
        pages += u64::from(now.slots());
        match limits.check_resize(now, 1 << 20, pages, Privilege::Ordinary) {
            Ok(larger) => {
                pages += u64::from(larger.slots()) - u64::from(now.slots());
                grown += 1;
            }
            Err(error) => {
                assert!(matches!(error, GrowError::UserPages { .. }));
                break;
            }
        }
    }
    assert_eq!((grown, pages), (64, 16_384));
}

#[test]
fn an_older_kernel_leaves_one_slot() {
    let limits = Limits {
        shrunk: ShrunkPipe::of_kernel(5, 13),
        ..Limits::DEFAULT
    };
    let new = limits
        .new_pipe(16_384, Privilege::Ordinary)
        .expect("a geometry");
    assert_eq!(capacity(new), Some(4096));
    assert_eq!(ShrunkPipe::of_kernel(5, 14), ShrunkPipe::TwoSlots);
    assert_eq!(ShrunkPipe::of_kernel(6, 1), ShrunkPipe::TwoSlots);
    assert_eq!(ShrunkPipe::of_kernel(4, 19), ShrunkPipe::OneSlot);
}

#[test]
fn the_hard_limit_refuses_and_privilege_lifts_it() {
    let limits = Limits {
        user_pages_hard: UserPages::AtMost(16_384),
        ..Limits::DEFAULT
    };
    for (pages, privilege, capacity_bytes) in [
        (16_383, Privilege::Ordinary, None),
        (16_382, Privilege::Ordinary, Some(8192)),
        (16_384, Privilege::SysAdmin, Some(65_536)),
        (16_384, Privilege::SysResource, Some(65_536)),
    ] {
        let new = limits.new_pipe(pages, privilege).expect("a geometry");
        assert_eq!(
            capacity(new),
            capacity_bytes,
            "{pages} pages, {privilege:?}"
        );
    }
}

#[test]
fn a_small_pipe_max_size_shrinks_every_new_pipe_of_the_unprivileged() {
    let limits = Limits {
        max_bytes: 8192,
        ..Limits::DEFAULT
    };
    let ordinary = limits.new_pipe(0, Privilege::Ordinary).expect("a geometry");
    let privileged = limits
        .new_pipe(0, Privilege::SysResource)
        .expect("a geometry");
    assert_eq!(capacity(ordinary), Some(8192));
    assert_eq!(capacity(privileged), Some(65_536));
}

#[test]
fn growing_above_pipe_max_size_needs_sys_resource_and_shrinking_needs_nothing() {
    let limits = Limits::DEFAULT;
    let now = Geometry::DEFAULT;
    assert_eq!(
        limits.check_resize(now, (1 << 20) + 1, 16, Privilege::SysAdmin),
        Err(GrowError::MaxSize {
            bytes: 1 << 21,
            max_bytes: 1 << 20
        })
    );
    assert!(
        limits
            .check_resize(now, 1 << 21, 16, Privilege::SysResource)
            .is_ok()
    );
    assert_eq!(
        limits.check_resize(now, 131_072, 16_384, Privilege::Ordinary),
        Err(GrowError::UserPages { pages: 16_400 })
    );
    assert!(
        limits
            .check_resize(now, 4096, 20_000, Privilege::Ordinary)
            .is_ok()
    );
}

#[test]
fn the_files_are_parsed_and_a_bad_one_is_named() {
    let files = SysctlFiles {
        max_size: b"1048576\n",
        user_pages_soft: b"16384\n",
        user_pages_hard: b"0\n",
    };
    assert_eq!(
        Limits::parse(files, PageSize::FOUR_KIB, ShrunkPipe::TwoSlots),
        Ok(Limits::DEFAULT)
    );
    let bad = SysctlFiles {
        user_pages_soft: b"\xffmany\n",
        ..files
    };
    let error = Limits::parse(bad, PageSize::FOUR_KIB, ShrunkPipe::TwoSlots)
        .expect_err("no number stands there");
    assert_eq!(
        error.to_string(),
        r#"failed to parse /proc/sys/fs/pipe-user-pages-soft: expected a decimal number, found "\xffmany\n""#
    );
}

#[test]
fn the_kernels_version_says_what_a_shrunk_pipe_is() {
    for (osrelease, expected) in [
        (&b"6.18.44-fc-v669\n"[..], Ok(ShrunkPipe::TwoSlots)),
        (b"5.10.0-28-amd64\n", Ok(ShrunkPipe::OneSlot)),
        (b"5.14-rc1", Ok(ShrunkPipe::TwoSlots)),
    ] {
        assert_eq!(ShrunkPipe::parse(osrelease), expected);
    }
    for bad in [&b""[..], b"Linux", b"6", b"\xff.1"] {
        assert!(ShrunkPipe::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn capabilities_count_in_the_first_user_namespace_alone() {
    let first = b"         0          0 4294967295\n";
    let inner = b"         0       1000          1\n";
    let status = |caps: &str| format!("Name:\tx\nCapEff:\t{caps}\nCapBnd:\tffff\n").into_bytes();
    for (caps, uid_map, expected) in [
        ("000001ffffffffff", &first[..], Privilege::SysResource),
        ("000001fffeffffff", first, Privilege::SysAdmin),
        ("0000000000000000", first, Privilege::Ordinary),
        ("000001ffffffffff", inner, Privilege::Ordinary),
    ] {
        assert_eq!(
            Privilege::parse(&status(caps), uid_map),
            Ok(expected),
            "{caps}"
        );
    }
    assert!(Privilege::parse(b"Name:\tx\n", first).is_err());
    assert!(Privilege::parse(&status("wide"), first).is_err());
}

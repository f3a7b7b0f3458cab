//! What could not be read only ever weakens a verdict, and is always said.

use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::bundle::{self, BundleError};
use pipeclog_waitgraph::check::check;
use pipeclog_waitgraph::descriptor::{Access, Table};
use pipeclog_waitgraph::diagnose::{Verdict, diagnose};
use pipeclog_waitgraph::redact::redact;
use pipeclog_waitgraph::report::{Confidence, VerdictName};
use pipeclog_waitgraph::snapshot::{Facet, Gap, GapKind, Listing, Observer, Peek, Pid};
use pipeclog_waitgraph::wait::{FifoMode, SignalSet, Timeout};

use crate::deadlocks::wait_then_read;
use crate::live::server;
use crate::scene::*;

#[test]
fn one_look_proves_nothing() {
    let s = wait_then_read();
    let report = diagnose(&s.looks(1), Pid(812)).report().clone();
    assert_eq!(report.verdict, VerdictName::Unproven);
    let report = diagnose(&[], Pid(812)).report().clone();
    assert_eq!(report.verdict, VerdictName::Unproven);
}

#[test]
fn an_unreadable_child_leaves_its_parent_unproven_and_the_gap_is_told() {
    let mut s = wait_then_read();
    s.edit(813).unreadable();
    s.gaps.push(Gap {
        kind: GapKind::Denied,
        facet: Facet::Syscall,
        pid: Some(Pid(813)),
        tid: None,
        why: "failed to read /proc/813/syscall: permission denied".to_owned(),
        remedy: Some("sudo pipeclog diagnose 812".to_owned()),
    });
    let report = s.diagnose(812).report().clone();
    assert_eq!(report.verdict, VerdictName::Unproven, "{}", report.headline);
    assert_eq!(report.gaps.len(), 1);
}

#[test]
fn an_unreadable_ancestor_makes_it_probable() {
    let mut s = wait_then_read();
    s.process(800, 1, "sudo", wait_any()).unreadable();
    s.edit(812).with(|p| p.ppid = Pid(800));
    let report = s.diagnose(812).report().clone();
    assert_eq!(
        (report.verdict, report.confidence),
        (VerdictName::Deadlocked, Confidence::Probable)
    );
    assert_eq!(
        report.assumptions[0].assumption,
        Assumption::HoldsNothing { pid: Pid(800) }
    );
}

/// A container whose init nobody may look into, and whose trees never made a session of their own: `/proc` says 0 for all.
#[test]
fn an_unreadable_init_of_the_same_session_holds_nothing_and_signals_nobody_if_it_started_whoever_looks()
 {
    let mut s = wait_then_read();
    s.process(1, 0, "init", wait_any()).unreadable().session(0);
    for pid in [812, 813] {
        s.edit(pid).session(0);
    }
    // One that a container began with may well be the script that ends the others.
    let report = s.diagnose(812).report().clone();
    let assumed: Vec<_> = report.assumptions.iter().map(|a| &a.assumption).collect();
    assert_eq!(
        assumed,
        [&Assumption::NoSignal {
            pids: [Pid(1)].into()
        }]
    );
    s.scan.observer = Observer {
        line: vec![Pid(900), Pid(1)],
        ..Observer::default()
    };
    let report = s.diagnose(812).report().clone();
    assert_eq!(report.confidence, Confidence::Proven);
}

#[test]
fn an_unreadable_orphan_that_started_later_makes_it_probable() {
    let mut s = wait_then_read();
    s.process(950, 1, "daemon", read(0))
        .unreadable()
        .session(950);
    let report = s.diagnose(812).report().clone();
    assert_eq!(report.confidence, Confidence::Probable);
}

#[test]
fn an_unreadable_stranger_is_counted_in_the_closed_world() {
    let mut s = wait_then_read();
    s.process(300, 1, "ss\x1bhd", read(0))
        .unreadable()
        .session(300);
    s.gaps.push(Gap {
        kind: GapKind::Denied,
        facet: Facet::Descriptors,
        pid: Some(Pid(300)),
        tid: None,
        why: "failed to read the links of 300/fd: permission denied".to_owned(),
        remedy: Some("sudo pipeclog diagnose 300".to_owned()),
    });
    let report = s.diagnose(812).report().clone();
    assert_eq!(report.confidence, Confidence::Proven);
    let told = "ss\\u{1b}hd (300), not readable and none of this family, holds no end; try: sudo pipeclog diagnose 812";
    assert!(
        report.closed_world.iter().any(|sentence| sentence == told),
        "{:?}",
        report.closed_world
    );
}

#[test]
fn a_look_that_may_have_missed_a_process_proves_nothing() {
    for (listing, forks, confidence) in [
        (Listing::Closed, None, Confidence::Proven),
        (Listing::Open, Some(4711), Confidence::Proven),
        (Listing::Open, Some(4712), Confidence::Probable),
        (Listing::Open, None, Confidence::Probable),
        (Listing::Partial, Some(4711), Confidence::Probable),
    ] {
        let mut s = wait_then_read();
        s.scan.listing = listing;
        s.scan.forks_after = forks;
        let report = s.diagnose(812).report().clone();
        assert_eq!(report.confidence, confidence, "{listing:?} {forks:?}");
    }
}

#[test]
fn switch_counts_that_could_not_be_read_leave_it_unproven() {
    let mut s = wait_then_read();
    s.edit(813).with(|p| p.tasks[0].switches_voluntary = None);
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Unproven);
}

#[test]
fn a_reader_with_an_unknown_table_may_hold_the_end() {
    let mut s = wait_then_read();
    s.edit(812).with(|p| p.table = Table::Unread);
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Unproven);
}

#[test]
fn a_pid_that_now_belongs_to_another_process_is_not_the_same() {
    let s = wait_then_read();
    let mut looks = s.looks(2);
    looks[0].processes[1].start_ticks += 1;
    assert_ne!(
        diagnose(&looks, Pid(812)).report().verdict,
        VerdictName::Deadlocked
    );
}

#[test]
fn a_process_that_is_not_there_is_unproven() {
    assert_eq!(
        wait_then_read().diagnose(4).report().verdict,
        VerdictName::Unproven
    );
}

#[test]
fn holders_seen_in_either_look_count() {
    let mut s = wait_then_read();
    s.process(900, 1, "passing", sleep_ms(50)).fd(7, reads(9));
    let mut looks = s.looks(2);
    let table = &mut looks[1]
        .processes
        .iter_mut()
        .find(|p| p.pid.0 == 900)
        .unwrap()
        .table;
    *table = Table::Complete(vec![]);
    assert_ne!(
        diagnose(&looks, Pid(812)).report().verdict,
        VerdictName::Deadlocked
    );
}

#[test]
fn redaction_leaves_nothing_private_and_the_same_diagnosis() {
    let mut s = wait_then_read();
    s.scan.kernel = "6.18.5-secret-host".into();
    s.edit(812)
        .fd(8, file("/home/secret/secret.key"))
        .fd(9, fifo(71, Access::Read))
        .with(|p| {
            p.cmdline = vec!["/opt/secret/python3".into(), "--password=secret".into()];
            p.exe = Some("/opt/secret/python3".into());
        });
    s.edit(813).with(|p| {
        p.comm = "secretd".into();
        p.tasks[0].comm = "secret thread".into();
        p.cmdline = vec!["/home/secret/target/debug/secretd".into()];
        p.exe = Some("/home/secret/target/debug/secretd (deleted)".into());
    });
    s.process(900, 1, "secret-helper", read(0)).unreadable();
    s.gaps.push(Gap {
        kind: GapKind::Denied,
        facet: Facet::Syscall,
        pid: Some(Pid(900)),
        tid: None,
        why: "failed to read /secret/900/syscall: permission denied; it belongs to user 1000"
            .to_owned(),
        remedy: Some("sudo pipeclog diagnose 900".to_owned()),
    });
    s.peeks.push(Peek {
        inode: 9,
        unread_bytes: Some(6),
        capacity_bytes: None,
        head: "secret".into(),
    });
    let whole = s.looks(2);
    let mut looks = whole.clone();
    redact(&mut looks);
    let text = bundle::save(&looks).unwrap();
    assert!(
        !text.contains("secret") && !text.contains("fifo71"),
        "{text}"
    );
    for kept in ["python3", "6.18.5", "it belongs to user 1000"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    let there = diagnose(&bundle::load(&text).unwrap(), Pid(812));
    let (here, there) = (diagnose(&whole, Pid(812)), there.report().clone());
    let here = here.report().clone();
    assert_eq!(here.verdict, VerdictName::Deadlocked);
    assert_eq!(
        (here.verdict, here.confidence, here.class, here.fix),
        (there.verdict, there.confidence, there.class, there.fix)
    );
    let remedies = |gaps: &[Gap]| {
        gaps.iter()
            .map(|gap| gap.remedy.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(remedies(&here.gaps), remedies(&there.gaps));
    assert_eq!(
        remedies(&there.gaps),
        [Some("sudo pipeclog diagnose 900".to_owned())]
    );
}

#[test]
fn saved_looks_of_another_version_are_refused_by_name() {
    let text = bundle::save(&wait_then_read().looks(2)).unwrap();
    let newer = text.replacen("\"schema_version\":1", "\"schema_version\":9,\"more\":1", 1);
    assert!(matches!(
        bundle::load(&newer),
        Err(BundleError::Version { found: 9 })
    ));
    assert!(matches!(bundle::load("{"), Err(BundleError::Malformed(_))));
    assert!(matches!(
        bundle::load("{\"schema_version\":1}"),
        Err(BundleError::Malformed(_))
    ));
}

#[test]
fn saved_looks_out_of_order_are_put_in_order() {
    let mut looks = wait_then_read().looks(2);
    looks.iter_mut().for_each(|l| l.processes.reverse());
    let loaded = bundle::load(&bundle::save(&looks).unwrap()).unwrap();
    assert_eq!(
        diagnose(&loaded, Pid(812)).report().verdict,
        VerdictName::Deadlocked
    );
}

#[test]
fn an_assumption_removed_from_a_probable_certificate_makes_the_checker_refuse() {
    let mut fifos = Scene::new();
    fifos.process(9, 1, "sh", wait_any());
    fifos.process(10, 9, "left", opens(71, FifoMode::Read));
    fifos.process(11, 9, "right", opens(72, FifoMode::Read));
    let mut partial = wait_then_read();
    partial.scan.listing = Listing::Partial;
    let mut relatives = wait_then_read();
    relatives.process(800, 1, "sudo", wait_any()).unreadable();
    relatives.edit(812).with(|p| p.ppid = Pid(800));
    let mut java = wait_then_read();
    java.edit(812).thread(817, "VM Thread", futex()).thread(
        818,
        "VM Periodic Tas",
        futex_for(Timeout::After(50_000_000)),
    );
    let mut killer = wait_then_read();
    killer.process(800, 1, "sh", wait_any());
    killer.process(801, 800, "sleep", sleep_ms(2000));
    killer.edit(812).with(|p| p.ppid = Pid(800));
    let mut unseen = wait_then_read();
    unseen.runs_unread = [Pid(813)].into();
    let server = server(&[SignalSet::TERM]);
    for (scene, pid) in [
        (fifos, 9),
        (partial, 812),
        (relatives, 812),
        (java, 812),
        (killer, 812),
        (unseen, 812),
        (server, 10),
    ] {
        let looks = scene.looks(2);
        let diagnosis = diagnose(&looks, Pid(pid));
        let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else {
            panic!("{:?}", diagnosis.report().headline)
        };
        assert!(!proof.is_strict());
        for assumption in &proof.certificate().assumptions {
            let mut bold = proof.certificate().clone();
            bold.assumptions.remove(assumption);
            assert!(
                check(&looks[0], &looks[1], &bold).is_err(),
                "{assumption:?}"
            );
        }
    }
}

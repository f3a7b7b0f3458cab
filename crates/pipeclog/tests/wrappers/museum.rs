//! Incidents that were published, acted out under the mistake that was made, and under its cure.

use libtest_mimic::Failed;
use pipeclog_harness::incidents::Stage;
use pipeclog_scenario::incidents::{Came, Incident, Standing};

use crate::{Suite, program};

/// It hangs as it did, the diagnosis says why, and the cure lets it end with every byte.
pub(crate) fn act_out(suite: &Suite, incident: &Incident) -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let stage = Stage {
        pool: &suite.pool,
        wrappers: &suite.wrappers,
        peer: &program().with_file_name("peer"),
        out: out.path(),
    };
    let acted = stage.act_out(incident);
    match acted.standing() {
        Standing::Holds => Ok(()),
        Standing::NotRun => {
            for came in [&acted.before, &acted.after] {
                if let Came::Skipped { why } = came {
                    println!("museum/{}: skipped: {}", incident.name, why.escaped());
                }
            }
            Ok(())
        }
        Standing::Differs => Err(format!(
            "under the mistake: {}; under the cure ({}): {}",
            told(&acted.before),
            incident.after.cure,
            told(&acted.after)
        )
        .into()),
    }
}

fn told(came: &Came) -> String {
    match came {
        Came::Hung(hang) => match &hang.diagnosis {
            Some(report) => format!("it hung: {}", report.headline),
            None => format!("it hung without a diagnosis: {hang}"),
        },
        Came::Ended => "it ended".to_owned(),
        Came::Otherwise { what } => what.escaped(),
        Came::Skipped { why } => format!("skipped: {}", why.escaped()),
    }
}

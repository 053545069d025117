//! Plans, snapshots, attachments and reports as JSON.

use crate::{is_fit, travels};
use xenvnet_core::{Attachment, Operation, Plan, Report, Snapshot, VifSpec};

/// One run.
pub fn run(text: &str) {
    match Plan::from_json(text) {
        Ok(plan) => {
            travels(&plan);
            travels(&plan.inverse());
            let _ = plan.to_string() + &plan.inverse().to_string();
            // Whatever it says, on whatever host.
            let after = Snapshot::default().after(&plan);
            travels(&after.after(&plan.inverse()));
        }
        Err(error) => is_fit(&error, text),
    }
    match Attachment::from_json(text) {
        Ok(attachments) => {
            for attachment in attachments {
                travels(&attachment);
                let _ = Operation::AttachVif(attachment).plan(&Snapshot::default());
            }
        }
        Err(error) => is_fit(&error, text),
    }
    if let Ok(host) = serde_json::from_str::<Snapshot>(text) {
        travels(&host);
        assert!(host.vifs().all(|vif| !host.is_paired(vif.name) || host.guard_of(vif.name).is_some()));
        assert!(host.bridges().all(|bridge| host.ports_of(bridge.name).all(|port| port.master == Some(bridge.name))));
    }
    if let Ok(report) = serde_json::from_str::<Report>(text) {
        travels(&report);
        let _ = report.to_string();
    }
    if let Ok(spec) = serde_json::from_str::<VifSpec>(text) {
        travels(&spec);
        let _ = spec.to_string();
    }
}

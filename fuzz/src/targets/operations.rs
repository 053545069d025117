//! Operations as JSON, planned one after the other: on the first line the operations, on a second one
//! the host as a snapshot, unless it is the one that is known to be sound.

use crate::{is_fit, is_tame, travels};
use std::sync::LazyLock;
use xenvnet_core::{Operation, Plan, Snapshot};

/// Two cards, two vifs and an emulated one, nothing set up.
static SOUND: LazyLock<Snapshot> =
    LazyLock::new(|| serde_json::from_str(include_str!("host.json")).expect("a snapshot"));

/// One run.
pub fn run(text: &str) {
    let (operations, host) = text.split_once('\n').map_or((text, None), |(first, rest)| (first, Some(rest)));
    let operations = match Operation::from_json(operations) {
        Ok(operations) => operations,
        Err(error) => return is_fit(&error, operations),
    };
    let host = host.map(serde_json::from_str::<Snapshot>);
    let Ok(given) = host.transpose() else { return };
    let is_sound = given.is_none();
    let mut now = given.unwrap_or_else(|| SOUND.clone());
    for operation in &operations {
        let plan = match operation.plan(&now) {
            Ok(plan) => plan,
            Err(error) => {
                is_tame(&error);
                continue;
            }
        };
        let after = now.after(&plan);
        let back = after.after(&plan.inverse());
        let again = operation.plan(&after);
        travels(&plan);
        if is_sound {
            assert!(again.as_ref().is_ok_and(Plan::is_empty), "{operation:?}\n{plan}then\n{again:?}");
            assert_eq!(alike(back), alike(now), "{operation:?}\n{plan}");
        }
        now = after;
    }
}

/// A bridge that is made again has another index.
fn alike(mut host: Snapshot) -> Snapshot {
    host.links.values_mut().filter(|link| link.is_bridge()).for_each(|link| link.index = 0);
    host
}

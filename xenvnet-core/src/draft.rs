//! A plan in the making, and what the host is like when its steps so far are taken.

use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;

pub(crate) struct Draft {
    plan: Plan,
    pub(crate) now: Snapshot,
}

impl Draft {
    pub(crate) fn new(now: &Snapshot) -> Draft {
        Draft { plan: Plan::default(), now: now.clone() }
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.now.take(&step);
        self.plan.extend([step]);
    }

    pub(crate) fn then(&mut self, plan: Plan) {
        self.now = self.now.after(&plan);
        self.plan.extend(plan.steps().iter().cloned());
    }

    pub(crate) fn finish(self) -> Plan {
        self.plan
    }
}

impl Extend<Step> for Draft {
    fn extend<I: IntoIterator<Item = Step>>(&mut self, steps: I) {
        steps.into_iter().for_each(|step| self.step(step));
    }
}

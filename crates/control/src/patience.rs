//! Acts that are done in vain: a host says that it has done something, and the next look does not show it.
//!
//! Without a count such an object would be visited without a pause and without an end. The count is kept in
//! memory only: after a crash it begins anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::reconciler::Object;

/// How often an act may be done for one order before it counts as a fault.
const TIMES_MAX: u32 = 3;

/// How often each act was done for the order under way.
#[derive(Debug, Default)]
pub struct Patience(Mutex<HashMap<Object, Done>>);

#[derive(Debug, Default)]
struct Done {
    order: i64,
    acts: BTreeMap<String, u32>,
}

impl Patience {
    fn lock(&self) -> MutexGuard<'_, HashMap<Object, Done>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an act. The number, once it is too high: another order counts from the beginning.
    pub fn lost(&self, object: &Object, order: i64, act: &str) -> Option<u32> {
        let mut objects = self.lock();
        let done = objects.entry(object.clone()).or_default();
        if done.order != order {
            *done = Done { order, acts: BTreeMap::new() };
        }
        let times = done.acts.entry(act.to_owned()).or_default();
        *times += 1;
        Some(*times).filter(|times| *times > TIMES_MAX)
    }

    /// The object is as it should be: what was done was not in vain.
    pub fn renew(&self, object: &Object) {
        self.lock().remove(object);
    }
}

#[cfg(test)]
mod tests {
    use deckle_api::ids::MachineId;

    use super::*;

    #[test]
    fn patience_ends_and_comes_back() {
        let patience = Patience::default();
        let machine = Object::Machine(MachineId::mint(1));
        let lost = |order, act| patience.lost(&machine, order, act);
        assert_eq!([(); 5].map(|()| lost(1, "plug")), [None, None, None, Some(4), Some(5)]);
        assert_eq!(lost(1, "start"), None);
        assert_eq!(lost(2, "plug"), None);
        patience.renew(&machine);
        assert_eq!([(); 4].map(|()| lost(2, "plug")), [None, None, None, Some(4)]);
    }
}

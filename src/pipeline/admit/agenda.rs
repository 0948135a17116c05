//! Who is due next: a heap with at most one entry for each id, which can be moved or taken out.
//!
//! The standard heap cannot take an entry out, so it would collect stale ones; a tree allocates as it goes. This one
//! allocates only when there are more ids than ever before.

/// Ids, which are small numbers, by key; the lowest key first.
#[derive(Debug, Clone)]
pub struct Agenda<K> {
    /// A binary heap: no entry has a lower key than its parent, which stands at half its place.
    heap: Vec<(K, usize)>,
    /// Where each id stands in the heap.
    places: Vec<Option<usize>>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { heap: Vec::new(), places: Vec::new() }
    }
}

impl<K: Ord + Copy> Agenda<K> {
    /// The lowest key and its id.
    #[must_use]
    pub fn first(&self) -> Option<(K, usize)> {
        self.heap.first().copied()
    }

    /// How many ids have an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Every id that has an entry, in no order.
    pub fn ids(&self) -> impl Iterator<Item = usize> {
        self.heap.iter().map(|(_, id)| *id)
    }

    /// Whether this id has an entry.
    #[must_use]
    pub fn contains(&self, id: usize) -> bool {
        self.place_of(id).is_some()
    }

    /// Give this id this key, or none.
    pub fn put(&mut self, id: usize, key: Option<K>) {
        match key {
            Some(key) => self.set(id, key),
            None => drop(self.remove(id)),
        }
    }

    /// Give this id this key, instead of the one it may have.
    pub fn set(&mut self, id: usize, key: K) {
        let place = match self.place_of(id) {
            Some(place) => {
                self.heap[place].0 = key;
                place
            }
            None => {
                if self.places.len() <= id {
                    self.places.resize(id + 1, None);
                }
                self.heap.push((key, id));
                self.places[id] = Some(self.heap.len() - 1);
                self.heap.len() - 1
            }
        };
        self.settle(place);
    }

    /// Take this id out; its key, if it had an entry.
    pub fn remove(&mut self, id: usize) -> Option<K> {
        let place = self.place_of(id)?;
        self.places[id] = None;
        let (key, _) = self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.settle(place);
        }
        Some(key)
    }

    fn place_of(&self, id: usize) -> Option<usize> {
        self.places.get(id).copied().flatten()
    }

    /// The entry at `place` may stand wrong, all others stand right: move it up, else down.
    fn settle(&mut self, mut place: usize) {
        self.places[self.heap[place].1] = Some(place);
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        while let Some(child) = self.lowest_child(place).filter(|child| self.heap[*child].0 < self.heap[place].0) {
            self.swap(place, child);
            place = child;
        }
    }

    fn lowest_child(&self, place: usize) -> Option<usize> {
        let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
        children.min_by_key(|child| self.heap[*child].0)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.places[self.heap[one].1] = Some(one);
        self.places[self.heap[other].1] = Some(other);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(steps in proptest::collection::vec((0usize..40, proptest::option::weighted(0.7, 0u32..50)), 1..400)) {
            let mut agenda = Agenda::default();
            let mut model: BTreeMap<usize, u32> = BTreeMap::new();
            for (id, key) in steps {
                agenda.put(id, key);
                match key {
                    Some(key) => drop(model.insert(id, key)),
                    None => drop(model.remove(&id)),
                }
                prop_assert_eq!(agenda.contains(id), model.contains_key(&id));
                prop_assert_eq!(agenda.first().map(|(key, _)| key), model.values().min().copied());
            }
            let mut sorted: Vec<u32> = model.values().copied().collect();
            sorted.sort_unstable();
            for expected in sorted {
                let (key, id) = agenda.first().expect("as many as in the model");
                prop_assert_eq!((key, agenda.remove(id)), (expected, Some(key)));
                prop_assert_eq!(model[&id], key);
            }
            prop_assert_eq!(agenda.first(), None);
        }
    }
}

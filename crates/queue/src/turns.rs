/// In which order a worker looks into its queues: strictly by their rank, and within a rank so that each gets its weight's share
/// of the jobs that are begun, as long as it has any.
///
/// Each queue has a place on a road: the one that is furthest behind comes first, and goes on by a step, which is the shorter the greater
/// its weight.
#[derive(Debug)]
pub(crate) struct Turns(Vec<Turn>);

#[derive(Clone, Copy, Debug)]
struct Turn {
    rank: usize,
    step: u64,
    place: u64,
}

/// Of a weight of 1; so short that no worker comes to the end of the road.
const STEP: u64 = 1 << 24;

impl Turns {
    /// Of queues with these ranks and weights.
    pub(crate) fn new(queues: impl IntoIterator<Item = (usize, u32)>) -> Self {
        let turn = |(rank, weight): (usize, u32)| Turn {
            rank,
            step: (STEP / u64::from(weight.max(1))).max(1),
            place: 0,
        };
        Turns(queues.into_iter().map(turn).collect())
    }

    /// The queues, by their numbers, each with its place.
    pub(crate) fn order(&self) -> Vec<(usize, u64)> {
        let mut order: Vec<_> = self.0.iter().enumerate().collect();
        order.sort_by_key(|(_, turn)| (turn.rank, turn.place));
        let places = order.into_iter().map(|(queue, turn)| (queue, turn.place));
        places.collect()
    }

    /// A job of this queue was begun, when this was its place. Those behind that had none: what they didn't take isn't saved up.
    pub(crate) fn taken(&mut self, (queue, place): (usize, u64)) {
        let Some(&Turn { rank, .. }) = self.0.get(queue) else {
            return;
        };
        for (other, turn) in self.0.iter_mut().enumerate() {
            if other == queue {
                turn.place = turn.place.saturating_add(turn.step);
            } else if turn.rank == rank {
                turn.place = turn.place.max(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many jobs each queue gets to begin of so many, where only those have some.
    fn begin(turns: &mut Turns, jobs: usize, have_some: &[usize]) -> Vec<usize> {
        let mut begun = vec![0; turns.0.len()];
        for _ in 0..jobs {
            let order = turns.order();
            if let Some(&next) = order.iter().find(|(queue, _)| have_some.contains(queue)) {
                begun[next.0] += 1;
                turns.taken(next);
            }
        }
        begun
    }

    #[test]
    fn each_gets_the_share_of_its_weight_and_the_rest_is_for_those_behind() {
        let mut turns = Turns::new([(0, 6), (0, 3), (0, 1), (1, 100)]);
        assert_eq!(begin(&mut turns, 1000, &[0, 1, 2, 3]), [600, 300, 100, 0]);
        assert_eq!(begin(&mut turns, 90, &[0, 1, 3]), [60, 30, 0, 0]);
        assert_eq!(begin(&mut turns, 5, &[3]), [0, 0, 0, 5]);
    }

    /// One that had nothing for an hour took all the turns of the next.
    #[test]
    fn nothing_is_saved_up() {
        let mut turns = Turns::new([(0, 1), (0, 1)]);
        begin(&mut turns, 1000, &[0]);
        let begun = begin(&mut turns, 10, &[0, 1]);
        assert!(begun.iter().all(|&begun| begun >= 4), "{begun:?}");
    }
}

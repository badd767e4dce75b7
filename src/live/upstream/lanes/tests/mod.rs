//! Thousands of histories of breaks, delays and failures, each decided by a seed.

mod dice;
mod provider;
mod world;

use proptest::prelude::*;

use self::world::{Plan, World};
use super::{Notice, Outcome, Upstreamed};

/// Every word once, in order, where it was spoken, or in a declared gap.
fn assert_whole(world: &World) {
    let (mut next, mut reached, mut gaps) = (0, 0, Vec::new());
    let mut finals = Vec::new();
    for told in &world.told {
        match told {
            Upstreamed::Text(text) if text.segment.is_final => {
                let segment = &text.segment;
                assert_eq!(text.ahead, 0);
                assert!(segment.start_ms >= reached, "a final begins before F");
                finals.extend(segment.words.iter().cloned());
                reached = segment.end_ms;
            }
            Upstreamed::Covered { until_ms, .. } => {
                assert!(*until_ms >= reached, "F goes back to {until_ms} from {reached}");
                reached = *until_ms;
            }
            Upstreamed::Gap { from_ms, to_ms, .. } => {
                assert!(*from_ms >= reached && to_ms > from_ms, "a gap over what was said");
                gaps.push((*from_ms, *to_ms));
                reached = *to_ms;
            }
            _ => {}
        }
    }
    for word in finals {
        let index: usize = word.word[1..].parse().expect("a number");
        assert!(index >= next, "{} comes twice, or late", word.word);
        missed(world, &gaps, next..index);
        let (start_ms, end_ms) = world.script[index];
        assert!(start_ms <= word.start_ms && word.end_ms <= end_ms, "{word:?} is elsewhere");
        next = index + 1;
    }
    missed(world, &gaps, next..world.script.len());
}

/// Words that were not said lie in a gap, at least in part.
fn missed(world: &World, gaps: &[(u64, u64)], words: std::ops::Range<usize>) {
    for index in words {
        let (start_ms, end_ms) = world.script[index];
        let covered = gaps.iter().any(|gap| gap.0 < end_ms && gap.1 > start_ms);
        assert!(covered, "w{index} at {start_ms} to {end_ms} is missing; gaps: {gaps:?}");
    }
}

fn lived(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.live();
    match world.told.last() {
        Some(Upstreamed::Finished) => {
            assert_whole(&world);
            assert_counted(&world);
        }
        Some(Upstreamed::Failed(_)) if world.poisoned == [true, true] => {}
        last => panic!("it does not end: {last:?}"),
    }
    world
}

/// How often a provider was asked instead of another, and how often something came of it.
fn stood_in(world: &World, provider: &str) -> (usize, usize) {
    let count = |wanted| {
        let is = |notice: &Notice| match notice {
            Notice::Over { to, outcome, .. } => (*to, *outcome) == (provider, wanted),
            _ => false,
        };
        world.notices.iter().filter(|notice| is(notice)).count()
    };
    (count(Outcome::Attempted), count(Outcome::Succeeded))
}

/// Whether anything is final by the word of a provider.
fn covered(world: &World, by: &str) -> bool {
    world.told.iter().any(|told| match told {
        Upstreamed::Covered { provider, .. } => *provider == by,
        _ => false,
    })
}

/// Who stands in for another is counted whenever it is asked, and again where that led to something.
fn assert_counted(world: &World) {
    let (attempted, succeeded) = stood_in(world, "first");
    assert!(succeeded <= attempted, "{succeeded} of {attempted} at the first");
    let (attempted, succeeded) = stood_in(world, "second");
    let opened = world.opened[1] as usize;
    assert!(succeeded <= opened && opened <= attempted, "{succeeded}, {opened}, {attempted}");
    assert_eq!(covered(world, "second"), succeeded > 0, "{:?}", world.notices);
}

fn gaps(world: &World) -> usize {
    world.told.iter().filter(|told| matches!(told, Upstreamed::Gap { .. })).count()
}

prop_compose! {
    fn plans()(
        seed in any::<u64>(),
        length_ms in 500_u64..60_000,
        trouble in any::<bool>(),
        outage in prop_oneof![
            3 => Just((0, 0)),
            1 => (0_u64..40_000, 0_u64..80_000).prop_map(|(from, long)| (from, from + long)),
        ],
        second in prop::option::of((0_u64..40_000, 0_u64..40_000)),
        most in 1_usize..4,
        resumed in prop::option::of((0_u64..3_000, 0_u64..30_000)),
        heals in any::<bool>(),
        estimates in any::<bool>(),
    ) -> Plan {
        let second = second.map(|(from, long)| (from, from + long));
        Plan { seed, length_ms, trouble, outage, second, most, resumed, heals, estimates }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_word_comes_once_or_is_declared_lost(plan in plans()) {
        lived(plan);
    }

    /// Without failures there is one connection, two for a resumed session, and nothing is lost.
    #[test]
    fn calm_sessions_lose_nothing(plan in plans()) {
        let resumed = plan.resumed.is_some();
        let world = lived(Plan { trouble: false, outage: (0, 0), second: None, ..plan });
        assert_eq!(gaps(&world), 0);
        assert!(world.links <= if resumed { 6 } else { 1 }, "{} connections", world.links);
    }

    /// Where times are estimated no word is on two connections, whatever breaks.
    #[test]
    fn estimated_times_are_never_cut(plan in plans()) {
        let world = lived(Plan { second: None, estimates: true, ..plan });
        assert_eq!(world.widest, 1);
    }

    /// One dies, for good or until the audio ends: the other takes over soon, and nothing is lost.
    #[test]
    fn another_goes_on_where_one_dies(plan in plans(), at_ms in 0_u64..30_000) {
        let (outage, second) = ((at_ms, u64::MAX), Some((0, 0)));
        let may_return = plan.most == 1 && (plan.heals || plan.resumed.is_some());
        let world = lived(Plan { trouble: false, outage, second, ..plan });
        assert_eq!(gaps(&world), 0);
        let went = world.opened[1] > 0;
        assert_eq!(went, stood_in(&world, "second").0 > 0);
        // A second that gives one connection only, and is asked for two, loses its turn to a first
        // that is well again, or has not died yet.
        assert!(may_return || went == covered(&world, "second"));
    }

    /// Where the first works, the second is never asked.
    #[test]
    fn the_first_choice_is_asked_first(plan in plans()) {
        let most = plan.most.max(3);
        let world = lived(Plan { trouble: false, outage: (0, 0), second: Some((0, 0)), most, ..plan });
        assert_eq!(world.opened[1], 0);
    }
}

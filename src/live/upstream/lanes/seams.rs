//! Where lanes begin and end: cut when newer audio is not to wait, joined when it has to.

use std::time::Instant;

use super::{FLOWING, GapReason, Lanes, MAX_LANES, OVERLAP_MS, SHORT_MS};
use crate::live::upstream::{
    lane::{Lane, Tie},
    pace::Pace,
    told::Upstreamed,
};

impl Lanes {
    /// A resumed client has sent what it had kept: newer audio does not wait for that.
    pub fn live_from_here(&mut self, now: Instant) {
        self.catching_up = None;
        let at = self.lanes.len().wrapping_sub(1);
        if !self.is_long(at) || self.finishing.is_some() || self.alone || !self.may_cut(at) {
            return;
        }
        let sent = |lane: &Lane| {
            let talk = lane.tie.talk()?;
            (self.ring.fed_ms(&talk.cursor)? > talk.cursor.origin_ms).then_some(())
        };
        let begun = sent(&self.lanes[at]).is_some();
        let rate = self.ring.bytes_per_second();
        let newer = self.cut(!begun);
        let older = &mut self.lanes[newer - 1];
        if let Some(talk) = older.tie.talk_mut() {
            talk.pace = talk.pace.take().or_else(|| rate.map(|rate| Pace::start(rate, now)));
        }
        let seam_ms = self.lanes[newer].from_ms;
        if let (Some(talk), Some(cursor)) =
            (self.lanes[newer].tie.talk_mut(), self.ring.begin(seam_ms, OVERLAP_MS))
        {
            (talk.cursor, talk.pace) = (cursor, None);
        }
    }

    /// Whether a lane's words can be told apart at a seam: whoever has it, or would be asked next,
    /// measures their times.
    fn may_cut(&self, at: usize) -> bool {
        let lane = &self.lanes[at];
        let next = || lane.choice.order(&self.providers).first().copied();
        let provider = lane.tie.talk().map(|talk| talk.provider).or_else(next);
        provider.is_none_or(|provider| self.measures(provider))
    }

    /// Whether a new connection of that lane, to that provider, is to begin with what is said now.
    pub(super) fn is_overtaking(&self, at: usize, provider: &'static str, now: Instant) -> bool {
        let free = !self.alone && !self.is_catching_up(now) && self.finishing.is_none();
        free && self.measures(provider)
            && self.flows(now)
            && self.lanes[at].is_behind(now)
            && self.is_long(at)
    }

    /// Whether audio is being spoken.
    pub(super) fn flows(&self, now: Instant) -> bool {
        self.pushed_at.is_some_and(|pushed| now.saturating_duration_since(pushed) < FLOWING)
    }

    /// Whether a lane is live, and too far behind for newer audio to wait.
    fn is_long(&self, at: usize) -> bool {
        let Some(lane) = self.lanes.get(at) else { return false };
        let waits = |end_ms: u64| end_ms.saturating_sub(lane.covered_ms) > SHORT_MS;
        lane.until_ms.is_none()
            && self.lanes.len() < MAX_LANES
            && self.ring.end_ms().is_some_and(waits)
    }

    /// Cuts the live lane at the end of the audio; the newer part takes the connection, or leaves it.
    pub(super) fn cut(&mut self, takes_connection: bool) -> usize {
        let at = self.lanes.len() - 1;
        let Some(seam_ms) = self.ring.seam_ms() else { return at };
        let mut newer = Lane::live(seam_ms, self.options.billed_channels());
        let older = &mut self.lanes[at];
        older.until_ms = Some(seam_ms);
        if takes_connection {
            newer.tie = std::mem::take(&mut older.tie);
            older.recovery.overtaken();
        }
        self.lanes.push_back(newer);
        at + 1
    }

    /// Joins live audio that has no finals yet to what is behind, where nobody is at that any more.
    /// Returns where a lane is then.
    pub(super) fn join(&mut self, at: usize) -> usize {
        while let [.., older, newer] = self.lanes.make_contiguous() {
            let loose = newer.tie.link().is_none() && newer.is_untouched();
            let busy = older.tie.talk().is_some_and(|talk| !self.alone || talk.close_sent);
            if !loose || busy || older.is_done() {
                break;
            }
            older.until_ms = None;
            let choice = std::mem::take(&mut newer.choice);
            older.choice.join(choice);
            self.lanes.pop_back();
        }
        at.min(self.lanes.len() - 1)
    }

    /// The provider gives one connection only: it is the head's, and newer audio waits. Returns
    /// where a lane is then.
    pub(super) fn go_alone(&mut self, at: usize) -> usize {
        self.alone = true;
        for lane in self.lanes.iter_mut().skip(1) {
            if let Some(link) = lane.tie.link() {
                self.leaving.push(link);
                lane.tie = Tie::Loose;
            }
        }
        self.join(at)
    }

    /// Tells of audio that was let go of.
    pub(super) fn declare(&mut self, at: usize) {
        if let Some((from_ms, to_ms)) = self.lanes.get_mut(at).and_then(|lane| lane.lost.take()) {
            self.gap(at, from_ms, to_ms, GapReason::ProviderAway);
        }
    }

    /// A stretch of a lane has no transcript.
    pub(super) fn gap(&mut self, at: usize, from_ms: u64, to_ms: u64, reason: GapReason) {
        if from_ms < to_ms {
            self.tell(at, Upstreamed::Gap { from_ms, to_ms, reason });
        }
    }
}

//! How much each user may do, by plan.

use super::{
    reader::Reader,
    variables::{
        LIMIT_LIVE_SESSIONS, LIMIT_LIVE_SESSIONS_TOTAL, LIMIT_LOGINS, LIMIT_OPEN_SOCKETS,
        LIMIT_REFRESHES, LIMIT_REGISTRATIONS, LIMIT_REQUESTS, LIMIT_SHARE_SOCKETS,
        LIMIT_SOCKET_OPENS, LIMIT_TRANSCRIPTIONS, Variable,
    },
};
use crate::model::Plan;

/// The greatest number that a limit may be.
const GREATEST: u32 = 1_000_000;

/// A number for everybody, with exceptions by plan; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::option_option, reason = "absent, unlimited and limited are three things")]
pub struct Allowance {
    everybody: Option<u32>,
    plans: [Option<Option<u32>>; Plan::ALL.len()],
}

impl Allowance {
    /// What that plan allows; `None` is unlimited.
    pub fn of(&self, plan: Plan) -> Option<u32> {
        self.plans[plan as usize].unwrap_or(self.everybody)
    }

    /// Reads `N`, `unlimited`, and after it `plan=N` or `plan=unlimited`, comma-separated.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',').map(str::trim);
        let mut allowance = Self { everybody: number(parts.next()?)?, plans: Default::default() };
        for part in parts {
            let (plan, limit) = part.split_once('=')?;
            let plan = Plan::ALL.into_iter().find(|known| known.as_str() == plan.trim())?;
            allowance.plans[plan as usize] = Some(number(limit.trim())?);
        }
        Some(allowance)
    }
}

/// A limit: `None` if it is no limit, and nothing if it is neither.
#[expect(clippy::option_option, reason = "absent, unlimited and limited are three things")]
fn number(text: &str) -> Option<Option<u32>> {
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(None);
    }
    text.parse().ok().filter(|limit| (1..=GREATEST).contains(limit)).map(Some)
}

/// Every limit that can be configured.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// REST requests of a user a minute.
    pub requests: Allowance,
    /// Transcriptions of a user a minute.
    pub transcriptions: Allowance,
    /// Sockets of a user a minute.
    pub socket_opens: Allowance,
    /// Sockets of a user that are open at once on one replica.
    pub open_sockets: Allowance,
    /// Sockets by one share token that are open at once on one replica.
    pub share_sockets: Allowance,
    /// Live sessions of a user at once.
    pub live_sessions: Allowance,
    /// Live sessions of all users at once.
    pub live_sessions_total: Allowance,
    /// Attempts to log in a minute, of an account and of an address.
    pub logins: Allowance,
    /// Registrations of an address a minute.
    pub registrations: Allowance,
    /// Refreshes and logouts of an address a minute.
    pub refreshes: Allowance,
}

impl LimitsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            requests: allowance(reader, &LIMIT_REQUESTS),
            transcriptions: allowance(reader, &LIMIT_TRANSCRIPTIONS),
            socket_opens: allowance(reader, &LIMIT_SOCKET_OPENS),
            open_sockets: allowance(reader, &LIMIT_OPEN_SOCKETS),
            share_sockets: for_everybody(reader, &LIMIT_SHARE_SOCKETS),
            live_sessions: allowance(reader, &LIMIT_LIVE_SESSIONS),
            live_sessions_total: for_everybody(reader, &LIMIT_LIVE_SESSIONS_TOTAL),
            logins: for_everybody(reader, &LIMIT_LOGINS),
            registrations: for_everybody(reader, &LIMIT_REGISTRATIONS),
            refreshes: for_everybody(reader, &LIMIT_REFRESHES),
        }
    }
}

fn allowance(reader: &mut Reader<'_>, variable: &Variable) -> Allowance {
    let allowance = Allowance::parse(reader.text(variable));
    if allowance.is_none() {
        reader.wrong(variable, "a number or unlimited, then plan=number, comma-separated");
    }
    allowance.unwrap_or(Allowance { everybody: None, plans: Default::default() })
}

/// Where the caller is not known yet, there is no plan.
fn for_everybody(reader: &mut Reader<'_>, variable: &Variable) -> Allowance {
    let limit = number(reader.text(variable));
    if limit.is_none() {
        reader.wrong(variable, "a number from 1 to 1000000 or unlimited");
    }
    Allowance { everybody: limit.flatten(), plans: Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances_are_a_number_with_exceptions() {
        let of = |text, plan| Allowance::parse(text).map(|allowance| allowance.of(plan));
        assert_eq!(of("100", Plan::Legacy), Some(Some(100)));
        assert_eq!(of("1, pro=5,legacy=unlimited", Plan::Pro), Some(Some(5)));
        assert_eq!(of("1, pro=5,legacy=unlimited", Plan::Legacy), Some(None));
        assert_eq!(of("unlimited,free=2", Plan::Free), Some(Some(2)));
        assert_eq!(of("UNLIMITED", Plan::Free), Some(None));
        for wrong in ["", "0", "-1", "1000001", "ten", "pro=5", "5,pro", "5,gold=1", "5,", "5;6"] {
            assert_eq!(of(wrong, Plan::Free), None, "{wrong}");
        }
    }
}

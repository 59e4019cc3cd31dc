//! Steps 3 to 5: talking to the shell, with as many tries as it takes and the caller allows.

use std::time::{Duration, Instant};

use afi_pcie::mailbox::LONGEST_PAUSE;
use afi_pcie::{Backoff, Deadline, Ended};
use afi_proto::AgfiId;
use afi_proto::mailbox::{CommandFlags, ErrorCode, LoadRequest, Metrics, SlotStatus};

use super::error::{StepError, is_lost_answer};
use super::report::SlotState;
use super::run::{Failed, Run};
use super::step::{Attempt, Step};

/// The pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries.
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Bad answers in a row that are put up with while the shell is at work.
const BAD_ANSWERS: u32 = 3;
/// How long answers may be bad or missing once the shell was allowed to reload. The public library
/// asks 16 times, a second apart (`fpga_mgmt.c`).
const RELOAD_GRACE: Duration = Duration::from_secs(16);
/// How long the shell may take to answer one question while it reloads.
const RELOAD_QUESTION: Duration = Duration::from_secs(1);

/// A command that changes a slot.
#[derive(Debug)]
pub(super) enum Command {
    /// Load or prefetch an image.
    Load(LoadRequest),
    /// Clear the slot.
    Clear,
}

/// What the slot runs, asked as often as `retries` allows.
pub(super) fn state(run: &mut Run<'_>, step: Step, retries: u32) -> Result<SlotState, Failed> {
    let metrics = describe(run, step, CommandFlags::empty(), retries)?;
    run.state(&metrics)
}

/// What the shell tells of the slot, asked as often as `retries` allows.
pub(super) fn describe(
    run: &mut Run<'_>,
    step: Step,
    flags: CommandFlags,
    retries: u32,
) -> Result<Metrics, Failed> {
    retrying(run, retries, None, |run| {
        run.step(step, |run| {
            let deadline = run.deadline.at_most(run.command_timeout);
            interruptible(run.mailbox()?.describe(flags, &deadline))
        })
    })
}

/// Gives a command to the shell and, unless the caller does not want to, waits until it is done.
/// `before` is what the slot was doing a moment ago.
pub(super) fn run(
    run: &mut Run<'_>,
    command: &Command,
    before: SlotStatus,
    retries: u32,
    wait: bool,
) -> Result<Option<Metrics>, Failed> {
    let last = if wait { Step::Wait } else { Step::Send };
    let mut idle = !before.is_transient();
    retrying(run, retries, Some(last), |run| {
        let known_idle = std::mem::take(&mut idle);
        run.step(Step::Send, |run| send(run, command, known_idle))?;
        if !wait {
            return Ok(None);
        }
        run.step(Step::Wait, |run| {
            let metrics = settle(run, |status, after| StepError::NotDone { status, after })?;
            ended_well(command, &metrics)?;
            Ok(Some(metrics))
        })
    })
}

/// A doubtful end that is no failure.
pub(super) fn note(metrics: &Metrics) -> Option<String> {
    (metrics.error != ErrorCode::OK).then(|| {
        let error = metrics.error;
        format!("the shell reports {error}: {}", error.meaning())
    })
}

/// Tries until it works, fails in a way that does not pass, or the tries or the time are used up.
/// With `last`, the step that a try ends with that works, such a try is recorded too.
fn retrying<T>(
    run: &mut Run<'_>,
    retries: u32,
    last: Option<Step>,
    mut work: impl FnMut(&mut Run<'_>) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut number = 1;
    loop {
        let started = Instant::now();
        let result = work(run);
        let attempt = |step| Attempt {
            number,
            step,
            took: started.elapsed(),
            error: None,
            code: None,
            pause: None,
        };
        let failed = match result {
            Ok(value) => {
                if let Some(last) = last {
                    run.attempt(attempt(last));
                }
                return Ok(value);
            }
            Err(failed) => failed,
        };
        let again = number <= retries && failed.source.is_transient();
        let pause = again
            .then(|| pause(number))
            .filter(|pause| *pause < run.deadline.remaining());
        run.attempt(Attempt {
            error: Some(in_full(&*failed.source)),
            code: failed.source.code(),
            pause,
            ..attempt(failed.step)
        });
        let Some(pause) = pause else {
            return Err(failed);
        };
        match run.deadline.pause(pause) {
            Ok(()) => number += 1,
            Err(Ended::Cancelled) => return Err(Failed::new(failed.step, StepError::Interrupted)),
            Err(Ended::TimedOut { .. }) => return Err(failed),
        }
    }
}

/// Between half of it and all of a time that doubles with each try: tools that failed together do
/// not try again together.
fn pause(tries: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(16));
    doubled
        .min(LAST_PAUSE)
        .mul_f64(rand::random_range(0.5..=1.0))
}

/// Sends the command, once the shell is done with what it was doing.
fn send(run: &mut Run<'_>, command: &Command, known_idle: bool) -> Result<(), StepError> {
    if !known_idle {
        settle(run, |status, after| StepError::StillBusy { status, after })?;
    }
    let deadline = run.deadline.at_most(run.command_timeout);
    run.touched = true;
    let mailbox = run.mailbox()?;
    interruptible(match command {
        Command::Load(request) => mailbox.load(request, &deadline),
        Command::Clear => mailbox.clear(&deadline),
    })
}

/// Waits until the shell is not at work, and agrees to a reload when the shell asks for it.
fn settle(
    run: &mut Run<'_>,
    late: impl Fn(SlotStatus, Duration) -> StepError,
) -> Result<Metrics, StepError> {
    let mut backoff = Backoff::up_to(LONGEST_PAUSE);
    let mut reload = None::<Deadline>;
    let mut status = SlotStatus::BUSY;
    let mut bad = 0;
    loop {
        let in_reload = reload.as_ref().is_some_and(|grace| grace.check().is_ok());
        let question = if in_reload {
            RELOAD_QUESTION
        } else {
            run.command_timeout
        };
        let deadline = run.deadline.at_most(question);
        let mailbox = run.mailbox()?;
        match interruptible(mailbox.describe(CommandFlags::empty(), &deadline)) {
            Ok(metrics) if !metrics.status.is_transient() => return Ok(metrics),
            Ok(metrics) => {
                (status, bad) = (metrics.status, 0);
                if status == SlotStatus::LOADING_RL && !in_reload {
                    mailbox.agree_to_reload()?;
                    reload = Some(run.deadline.at_most(RELOAD_GRACE));
                }
            }
            Err(StepError::Mailbox(error)) if is_lost_answer(&error) => {
                bad += 1;
                if !in_reload && (bad > BAD_ANSWERS || run.deadline.check().is_err()) {
                    return Err(error.into());
                }
                tracing::debug!(slot = %run.slot.index, %error, bad, "bad answer");
            }
            Err(error) => return Err(error),
        }
        backoff
            .wait(run.deadline)
            .map_err(|ended| StepError::ended(ended, |after| late(status, after)))?;
    }
}

/// Whether the state in which the shell has settled is the one that the command is for.
fn ended_well(command: &Command, metrics: &Metrics) -> Result<(), StepError> {
    let Metrics { status, error, .. } = *metrics;
    let wanted = match command {
        Command::Clear => SlotStatus::CLEARED,
        // A prefetch leaves what runs as it is.
        Command::Load(request) if request.flags.contains(CommandFlags::PREFETCH) => status,
        Command::Load(_) => SlotStatus::LOADED,
    };
    let harmless = matches!(error, ErrorCode::OK | ErrorCode::RETENTION_SETUP_FAILED);
    if status != wanted || (status == SlotStatus::LOADED && !harmless) {
        return Err(StepError::EndedAs {
            status,
            error,
            wanted,
        });
    }
    match command {
        Command::Load(request) if !request.flags.contains(CommandFlags::PREFETCH) => {
            same_image(metrics.image, request.image)
        }
        _ => Ok(()),
    }
}

fn same_image(seen: Option<AgfiId>, wanted: AgfiId) -> Result<(), StepError> {
    if seen != Some(wanted) {
        return Err(StepError::OtherImage { seen, wanted });
    }
    Ok(())
}

/// Tells an interruption by the caller from what else the mailbox reports.
pub(super) fn interruptible<T>(
    result: Result<T, afi_pcie::mailbox::MailboxError>,
) -> Result<T, StepError> {
    result.map_err(|error| match error {
        afi_pcie::mailbox::MailboxError::Cancelled { .. } => StepError::Interrupted,
        error => error.into(),
    })
}

/// An error with its causes, in one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use afi_proto::PciIds;
    use afi_proto::mailbox::MetricsBody;

    fn agfi() -> AgfiId {
        "agfi-0fedcba9876543210".parse().unwrap()
    }

    fn metrics(status: SlotStatus, error: ErrorCode, image: Option<AgfiId>) -> Metrics {
        Metrics {
            image,
            ids: PciIds::default(),
            status,
            error,
            body: MetricsBody::default(),
        }
    }

    fn load(flags: CommandFlags) -> Command {
        Command::Load(LoadRequest {
            image: agfi(),
            flags,
            clocks_hz: [0; 3],
        })
    }

    #[test]
    fn a_load_ends_well_with_the_wanted_image_loaded_without_an_error() {
        let plain = load(CommandFlags::empty());
        let end = |status, error, image| ended_well(&plain, &metrics(status, error, image));
        let ok = ErrorCode::OK;
        assert!(end(SlotStatus::LOADED, ok, Some(agfi())).is_ok());
        let setup = ErrorCode::RETENTION_SETUP_FAILED;
        assert!(end(SlotStatus::LOADED, setup, Some(agfi())).is_ok());
        assert!(matches!(
            end(SlotStatus::LOADED, ok, Some(AgfiId::from_cached(1))),
            Err(StepError::OtherImage { seen: Some(_), .. })
        ));
        for (status, error) in [
            (SlotStatus::LOADED, ErrorCode::POWER_VIOLATION),
            (SlotStatus::CLEARED, ok),
            (SlotStatus::LOAD_FAILED, ErrorCode::TIMED_OUT),
            (SlotStatus(6), ok),
        ] {
            let error_text = end(status, error, Some(agfi())).unwrap_err().to_string();
            assert!(error_text.contains(status.name()), "{error_text}");
            assert!(error_text.contains("wanted loaded"), "{error_text}");
        }
    }

    #[test]
    fn a_prefetch_leaves_any_state_and_a_clear_wants_one() {
        let prefetch = load(CommandFlags::PREFETCH);
        let cleared = metrics(SlotStatus::CLEARED, ErrorCode::OK, None);
        assert!(ended_well(&prefetch, &cleared).is_ok());
        assert!(ended_well(&Command::Clear, &cleared).is_ok());
        let loaded = metrics(SlotStatus::LOADED, ErrorCode::OK, Some(agfi()));
        assert!(ended_well(&Command::Clear, &loaded).is_err());
    }

    #[test]
    fn pauses_double_and_stay_between_half_and_all_of_their_time() {
        for tries in 1..=40 {
            let all = FIRST_PAUSE
                .saturating_mul(1 << (tries - 1).min(10))
                .min(LAST_PAUSE);
            for _ in 0..20 {
                let pause = pause(tries);
                assert!(
                    pause >= all / 2 && pause <= all,
                    "{tries}: {pause:?} of {all:?}"
                );
            }
        }
    }
}

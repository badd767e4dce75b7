//! Worker threads, each with models of its own, and the bounded queue that they share.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use super::{recogniser::Recogniser, vad::Vad};

/// The models of one worker.
pub(super) struct Models {
    pub(super) recogniser: Recogniser,
    pub(super) vad: Vad,
}

/// What a worker is asked to do.
pub(super) type Task = Box<dyn FnOnce(&mut Models) + Send>;

/// How urgent a task is: the lower kinds wait for the higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Voice activity: short, and everything else hangs on it.
    Listen,
    /// Text that will stay.
    Final,
    /// Text that may still change.
    Partial,
}

/// The threads; dropping the last owner waits for the task in progress, some 100 ms at most.
pub(super) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
    lane_capacity: usize,
}

#[derive(Default)]
struct Lanes {
    tasks: [VecDeque<Task>; 3],
    closed: bool,
}

impl Pool {
    /// Starts `workers` threads that make their models by `load`; waits until all have.
    pub(super) fn start(
        workers: usize,
        lane_capacity: usize,
        load: impl Fn() -> Result<Models, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let queue = Arc::new(Queue {
            lanes: Mutex::new(Lanes::default()),
            changed: Condvar::new(),
            lane_capacity,
        });
        let load = Arc::new(load);
        let (loaded, outcomes) = mpsc::sync_channel(workers);
        let mut pool = Self { queue: Arc::clone(&queue), threads: Vec::with_capacity(workers) };
        for number in 0..workers {
            let (queue, load, loaded) = (Arc::clone(&queue), Arc::clone(&load), loaded.clone());
            let thread = std::thread::Builder::new()
                .name(format!("speech-{number}"))
                .spawn(move || work(&queue, load, &loaded))
                .map_err(|error| error.to_string())?;
            pool.threads.push(thread);
        }
        drop((loaded, load));
        for _ in 0..workers {
            outcomes.recv().map_err(|_| "a worker died while it loaded".to_owned())??;
        }
        Ok(pool)
    }

    /// Queues a task; `false` when its lane is full.
    pub(super) fn submit(&self, urgency: Urgency, task: Task) -> bool {
        let mut lanes = self.queue.lock();
        let lane = &mut lanes.tasks[urgency as usize];
        if lane.len() >= self.queue.lane_capacity {
            return false;
        }
        lane.push_back(task);
        drop(lanes);
        self.queue.changed.notify_one();
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a speech worker had died");
            }
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task, or `None` when the pool is closed.
    fn next(&self) -> Option<Task> {
        let mut lanes = self.lock();
        loop {
            if lanes.closed {
                return None;
            }
            if let Some(task) = lanes.tasks.iter_mut().find_map(VecDeque::pop_front) {
                return Some(task);
            }
            lanes = self.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(
    queue: &Queue,
    load: Arc<impl Fn() -> Result<Models, String>>,
    loaded: &mpsc::SyncSender<Result<(), String>>,
) {
    let made = load();
    // It holds the model files, which are not needed any more.
    drop(load);
    let (outcome, models) = match made {
        Ok(models) => (Ok(()), Some(models)),
        Err(error) => (Err(error), None),
    };
    // The channel has room for every worker; a closed one means that start gave up.
    if loaded.send(outcome).is_err() {
        return;
    }
    let Some(mut models) = models else { return };
    while let Some(task) = queue.next() {
        // A task that panics drops its reply channel, and so ends only its own stream.
        if catch_unwind(AssertUnwindSafe(|| task(&mut models))).is_err() {
            tracing::error!("a speech task panicked");
        }
    }
}

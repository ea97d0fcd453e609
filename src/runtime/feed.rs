//! From the source's thread to the receivers: shared blocks of samples, one bounded lane each.
//!
//! A recording waits for the slowest receiver ([`Feed::publish`]). A radio does not wait: what finds
//! a lane full is lost for that lane, counted, and shows as a jump of the samples' index
//! ([`Feed::offer`]); what is in the lane already is kept.
//!
//! Lanes may be added while samples come ([`Door`]).
//!
//! Locks are held for a push or a pop only; nobody is woken, and no block is freed, under one.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::source::{Anchor, SampleBlock};

/// How often a waiting producer looks whether it is to stop.
const STOP_TICK: Duration = Duration::from_millis(50);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buffers that return when the last receiver has let go of them.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<SampleBlock>>);

impl Pool {
    /// A used buffer, or a new one.
    pub fn take(&self) -> SampleBlock {
        lock(&self.0).pop().unwrap_or_default()
    }
}

/// A block of samples, shared between receivers.
#[derive(Debug)]
pub struct SharedBlock {
    block: SampleBlock,
    home: Weak<Pool>,
}

impl SharedBlock {
    /// Shares a block; its buffer goes back to `pool` in the end.
    pub fn new(block: SampleBlock, pool: &Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { block, home: Arc::downgrade(pool) })
    }
}

impl std::ops::Deref for SharedBlock {
    type Target = SampleBlock;

    fn deref(&self) -> &SampleBlock {
        &self.block
    }
}

impl Drop for SharedBlock {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let block = std::mem::take(&mut self.block);
            lock(&home.0).push(block);
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    blocks: VecDeque<(Option<Anchor>, Arc<SharedBlock>)>,
    /// Samples in them.
    samples: usize,
    /// Samples that found no room.
    lost: u64,
    /// The anchor of a block that found no room: it holds for the next one.
    missed: Option<Anchor>,
    ended: bool,
    closed: bool,
    waker: Option<Waker>,
}

/// A bounded queue of blocks for one receiver.
#[derive(Debug)]
struct Lane {
    queue: Mutex<Queue>,
    /// Blocks came or went. Only one side waits at a time: the source while the lane is full, the
    /// receiver while it is empty.
    moved: Condvar,
    /// What is lost here counts in [`Feed::lost_samples`].
    counts: bool,
    /// In samples.
    capacity: usize,
}

impl Queue {
    fn push(&mut self, block: &Arc<SharedBlock>) {
        let missed = self.missed.take();
        self.samples += block.samples.len();
        self.blocks.push_back((block.anchor.or(missed), block.clone()));
    }
}

impl Lane {
    fn new(capacity: usize, counts: bool) -> Arc<Self> {
        let (queue, moved) = (Mutex::default(), Condvar::new());
        Arc::new(Self { queue, moved, counts, capacity })
    }

    fn close(&self) {
        let mut dropped = VecDeque::new();
        self.update(|queue| {
            queue.closed = true;
            queue.ended = true;
            queue.samples = 0;
            std::mem::swap(&mut dropped, &mut queue.blocks);
        });
    }

    /// Puts a block into the queue, and wakes whoever waits for it once the lock is gone.
    fn hand_over(&self, mut queue: MutexGuard<'_, Queue>, block: &Arc<SharedBlock>) {
        queue.push(block);
        let waker = queue.waker.take();
        drop(queue);
        self.moved.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_full(&self, queue: &Queue, more: usize) -> bool {
        !queue.blocks.is_empty() && queue.samples + more > self.capacity
    }

    /// Changes the queue's state, then wakes both sides.
    fn update(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = lock(&self.queue);
        change(&mut queue);
        let waker = queue.waker.take();
        drop(queue);
        self.moved.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Lanes that are to be added while samples come.
#[derive(Debug, Default)]
struct Joining {
    lanes: Vec<Arc<Lane>>,
    /// Every lane that there is.
    all: Vec<Weak<Lane>>,
    /// Somebody may add lanes: samples are wanted also while there is none.
    open: bool,
    /// Nothing will come any more.
    ended: bool,
}

/// The source's end of all lanes.
#[derive(Debug, Default)]
pub struct Feed {
    lanes: Vec<Arc<Lane>>,
    joining: Arc<Mutex<Joining>>,
    /// The anchor that holds, for lanes that join.
    anchor: Option<Anchor>,
    /// Samples lost in a lane that is gone.
    lost_before: u64,
    /// Buffers to fill.
    pub pool: Arc<Pool>,
}

/// Adds lanes to a [`Feed`] that another thread has. As long as it exists the source goes on, also
/// while there is no lane.
#[derive(Debug)]
pub struct Door(Arc<Mutex<Joining>>);

impl Door {
    /// Adds a lane that holds up to `capacity` samples, from the next block on; the anchor that holds
    /// there comes with it. If the feed has ended, so has the lane.
    pub fn subscribe(&self, capacity: usize) -> LaneReceiver {
        let lane = Lane::new(capacity, true);
        let mut joining = lock(&self.0);
        if joining.ended {
            lock(&lane.queue).ended = true;
        } else {
            joining.lanes.push(lane.clone());
            joining.all.retain(|lane| lane.strong_count() > 0);
            joining.all.push(Arc::downgrade(&lane));
        }
        LaneReceiver(lane)
    }

    /// Whether the source has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.0).ended
    }

    /// The source does not answer: ends every lane in its place.
    pub fn end(&self) {
        let mut joining = lock(&self.0);
        joining.ended = true;
        let all = std::mem::take(&mut joining.all);
        drop(joining);
        for lane in all.iter().filter_map(Weak::upgrade) {
            lane.update(|queue| queue.ended = true);
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        lock(&self.0).open = false;
    }
}

/// Looks into a lane without taking anything.
#[derive(Debug, Clone)]
pub struct LaneGauge(Arc<Lane>);

impl LaneGauge {
    /// Samples that wait in it.
    pub fn waiting_samples(&self) -> usize {
        lock(&self.0.queue).samples
    }

    /// Takes the lane away from a receiver that does not answer.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Feed {
    /// The way to add lanes later.
    pub fn door(&self) -> Door {
        lock(&self.joining).open = true;
        Door(self.joining.clone())
    }

    /// Takes in lanes that have joined. Returns whether anybody listens, or may later.
    fn admit(&mut self, block: &SampleBlock) -> bool {
        let mut joining = lock(&self.joining);
        for lane in joining.lanes.drain(..) {
            lock(&lane.queue).missed = self.anchor;
            self.lanes.push(lane);
        }
        self.anchor = block.anchor.or(self.anchor);
        joining.open
    }

    /// Adds a lane that holds up to `capacity` samples, and one block in any case.
    pub fn subscribe(&mut self, capacity: usize) -> LaneReceiver {
        self.add(capacity, true)
    }

    /// As [`Feed::subscribe`], for one who counts himself what is lost in his lane.
    pub fn subscribe_aside(&mut self, capacity: usize) -> LaneReceiver {
        self.add(capacity, false)
    }

    fn add(&mut self, capacity: usize, counts: bool) -> LaneReceiver {
        let lane = Lane::new(capacity, counts);
        self.lanes.push(lane.clone());
        lock(&self.joining).all.push(Arc::downgrade(&lane));
        LaneReceiver(lane)
    }

    /// Gives a block to every receiver, waiting for those whose lane is full: nothing is lost.
    /// `false`: no receiver is left, or `stop` was set.
    pub fn publish(&mut self, block: SampleBlock, stop: &AtomicBool) -> bool {
        let open = self.admit(&block);
        let block = SharedBlock::new(block, &self.pool);
        self.lanes.retain(|lane| {
            let mut queue = lock(&lane.queue);
            while lane.is_full(&queue, block.samples.len()) && !queue.closed {
                if stop.load(Ordering::Relaxed) {
                    return true;
                }
                queue = lane
                    .moved
                    .wait_timeout(queue, STOP_TICK)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if queue.closed {
                return false;
            }
            lane.hand_over(queue, &block);
            true
        });
        (open || !self.lanes.is_empty()) && !stop.load(Ordering::Relaxed)
    }

    /// Gives a block to every receiver that has room, and waits for none. `false`: no receiver is
    /// left.
    pub fn offer(&mut self, block: SampleBlock) -> bool {
        let open = self.admit(&block);
        let block = SharedBlock::new(block, &self.pool);
        let lost_before = &mut self.lost_before;
        self.lanes.retain(|lane| {
            let mut queue = lock(&lane.queue);
            if queue.closed {
                *lost_before += if lane.counts { queue.lost } else { 0 };
                return false;
            }
            if lane.is_full(&queue, block.samples.len()) {
                queue.lost += block.samples.len() as u64;
                queue.missed = block.anchor.or(queue.missed);
                return true;
            }
            lane.hand_over(queue, &block);
            true
        });
        open || !self.lanes.is_empty()
    }

    /// Samples that found no room, in the lane that lost most, and in lanes that are gone.
    pub fn lost_samples(&self) -> u64 {
        let lanes = self.lanes.iter().filter(|lane| lane.counts);
        self.lost_before + lanes.map(|lane| lock(&lane.queue).lost).max().unwrap_or(0)
    }
}

impl Drop for Feed {
    /// Ends every lane, also when the source's thread panics.
    fn drop(&mut self) {
        let mut joining = lock(&self.joining);
        joining.ended = true;
        let late = std::mem::take(&mut joining.lanes);
        drop(joining);
        for lane in self.lanes.iter().chain(&late) {
            lane.update(|queue| queue.ended = true);
        }
    }
}

/// What a receiver finds in its lane.
#[derive(Debug)]
pub enum Next {
    /// The next block, and the anchor that holds from it on if there is a new one.
    Block(Option<Anchor>, Arc<SharedBlock>),
    /// Nothing yet; wait for [`LaneReceiver::ready`].
    Empty,
    /// Nothing will follow.
    End,
}

/// A receiver's end of its lane. Dropping it closes the lane.
#[derive(Debug)]
pub struct LaneReceiver(Arc<Lane>);

impl LaneReceiver {
    /// Takes the next block, if there is one.
    pub fn next(&self) -> Next {
        let mut queue = lock(&self.0.queue);
        let block = queue.blocks.pop_front();
        if let Some((_, block)) = &block {
            queue.samples -= block.samples.len();
        }
        let ended = queue.ended;
        drop(queue);
        self.0.moved.notify_one();
        match block {
            Some((anchor, block)) => Next::Block(anchor, block),
            None if ended => Next::End,
            None => Next::Empty,
        }
    }

    /// Resolves when [`LaneReceiver::next`] has something to say.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let lane = self.0.clone();
        std::future::poll_fn(move |context| {
            let mut queue = lock(&lane.queue);
            if !queue.blocks.is_empty() || queue.ended {
                return Poll::Ready(());
            }
            let waker = context.waker();
            if !queue.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
                queue.waker = Some(waker.clone());
            }
            Poll::Pending
        })
    }

    /// Waits until [`LaneReceiver::next`] has something to say, but not longer than `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let queue = lock(&self.0.queue);
        let nothing = |queue: &mut Queue| queue.blocks.is_empty() && !queue.ended;
        drop(self.0.moved.wait_timeout_while(queue, timeout, nothing));
    }

    /// Samples that found no room in this lane.
    pub fn lost_samples(&self) -> u64 {
        lock(&self.0.queue).lost
    }

    /// Wants no more blocks: the source no longer waits for this lane.
    pub fn close(&self) {
        self.0.close();
    }

    /// For whoever watches the receiver.
    pub fn gauge(&self) -> LaneGauge {
        LaneGauge(self.0.clone())
    }
}

impl Drop for LaneReceiver {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn block(first_sample: u64) -> SampleBlock {
        SampleBlock { first_sample, anchor: None, samples: vec![Default::default(); 4] }
    }

    #[test]
    fn every_lane_gets_every_block_and_the_end() {
        let mut feed = Feed::default();
        let lanes = [feed.subscribe(32), feed.subscribe(32)];
        let stop = AtomicBool::new(false);
        for k in 0..5 {
            assert!(feed.publish(block(k), &stop));
        }
        drop(feed);
        for lane in &lanes {
            for k in 0..5 {
                let Next::Block(_, b) = lane.next() else { panic!("block {k} is missing") };
                assert_eq!(b.first_sample, k);
            }
            assert!(matches!(lane.next(), Next::End));
        }
    }

    #[test]
    fn a_full_lane_makes_the_source_wait_and_a_closed_one_does_not() {
        let mut feed = Feed::default();
        let (slow, gone) = (feed.subscribe(1), feed.subscribe(1));
        drop(gone);
        let stop = AtomicBool::new(false);
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            loop {
                match slow.next() {
                    Next::Block(..) => seen += 1,
                    Next::Empty => std::thread::sleep(Duration::from_millis(1)),
                    Next::End => return seen,
                }
            }
        });
        for k in 0..50 {
            assert!(feed.publish(block(k), &stop));
        }
        drop(feed);
        assert_eq!(reader.join().unwrap(), 50);
    }

    #[test]
    fn the_source_ends_when_nobody_listens() {
        let mut feed = Feed::default();
        drop(feed.subscribe(1));
        assert!(!feed.publish(block(0), &AtomicBool::new(false)));
    }

    #[test]
    fn a_radio_waits_for_nobody_and_what_is_lost_is_counted() {
        let mut feed = Feed::default();
        let (slow, quick) = (feed.subscribe(8), feed.subscribe(1 << 20));
        let anchor = Anchor { sample: 12, time: None, centre_frequency_hz: Some(1.0) };
        for k in 0..5 {
            let mut block = block(4 * k);
            block.anchor = (k == 3).then_some(anchor);
            assert!(feed.offer(block));
        }
        assert_eq!(feed.lost_samples(), 12);
        for k in 0..5 {
            assert!(matches!(quick.next(), Next::Block(_, b) if b.first_sample == 4 * k));
        }
        // The oldest are kept; the anchor comes with what follows the gap.
        for k in 0..2 {
            assert!(matches!(slow.next(), Next::Block(None, b) if b.first_sample == 4 * k));
        }
        assert!(feed.offer(block(20)));
        let Next::Block(Some(held), b) = slow.next() else { panic!("the anchor is missing") };
        assert_eq!((held, b.first_sample), (anchor, 20));
        drop((slow, quick));
        assert!(!feed.offer(block(24)));
    }

    #[test]
    fn a_thread_waits_for_blocks_and_for_the_end() {
        let mut feed = Feed::default();
        let lane = feed.subscribe_aside(4);
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            loop {
                lane.wait(Duration::from_secs(20));
                match lane.next() {
                    Next::Block(..) => seen += 1,
                    Next::Empty => panic!("woken for nothing"),
                    Next::End => return (seen, lane.lost_samples()),
                }
            }
        });
        for k in 0..10 {
            assert!(feed.publish(block(k), &AtomicBool::new(false)));
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(feed);
        assert_eq!(reader.join().unwrap(), (10, 0));
        let mut feed = Feed::default();
        let lane = feed.subscribe_aside(4);
        lane.wait(Duration::from_millis(1));
        assert!(feed.offer(block(0)) && feed.offer(block(4)));
        assert_eq!((lane.lost_samples(), feed.lost_samples()), (4, 0));
    }

    #[test]
    fn lanes_join_while_samples_come() {
        let mut feed = Feed::default();
        let door = feed.door();
        // Nobody listens, and somebody may.
        let anchor = Anchor { sample: 0, time: None, centre_frequency_hz: Some(1.0) };
        assert!(feed.offer(SampleBlock { anchor: Some(anchor), ..block(0) }));
        assert!(feed.publish(block(4), &AtomicBool::new(false)));
        let lane = door.subscribe(4);
        let gauge = lane.gauge();
        assert!(feed.offer(block(8)) && feed.offer(block(12)));
        assert_eq!((gauge.waiting_samples(), feed.lost_samples()), (4, 4));
        let Next::Block(Some(held), b) = lane.next() else { panic!("no block, or no anchor") };
        assert_eq!((held, b.first_sample), (anchor, 8));
        // Taken away: what was lost stays counted.
        gauge.close();
        assert!(matches!(lane.next(), Next::End));
        assert!(feed.offer(block(16)));
        assert_eq!((gauge.waiting_samples(), feed.lost_samples()), (0, 4));
        let late = door.subscribe(4);
        assert!(!door.has_ended());
        drop(feed);
        assert!(matches!(late.next(), Next::End) && matches!(door.subscribe(4).next(), Next::End));
        assert!(door.has_ended());
        let mut feed = Feed::default();
        drop(feed.door());
        assert!(!feed.offer(block(0)));
    }

    #[test]
    fn buffers_come_back() {
        let mut feed = Feed::default();
        let lane = feed.subscribe(2);
        feed.publish(block(0), &AtomicBool::new(false));
        assert_eq!(feed.pool.take().samples.capacity(), 0);
        drop(lane.next());
        assert!(feed.pool.take().samples.capacity() >= 4);
    }
}

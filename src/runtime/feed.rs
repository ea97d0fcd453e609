//! From the source's thread to the receivers: shared blocks of samples, one bounded lane each.
//!
//! Locks are held for a push or a pop only; nobody is woken, and no block is freed, under one.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::source::SampleBlock;

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
    blocks: VecDeque<Arc<SharedBlock>>,
    ended: bool,
    closed: bool,
    waker: Option<Waker>,
}

/// A bounded queue of blocks for one receiver.
#[derive(Debug)]
struct Lane {
    queue: Mutex<Queue>,
    room: Condvar,
    capacity: usize,
}

impl Lane {
    /// Changes the queue's state, then wakes both sides.
    fn update(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = lock(&self.queue);
        change(&mut queue);
        let waker = queue.waker.take();
        drop(queue);
        self.room.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The source's end of all lanes.
#[derive(Debug, Default)]
pub struct Feed {
    lanes: Vec<Arc<Lane>>,
    /// Buffers to fill.
    pub pool: Arc<Pool>,
}

impl Feed {
    /// Adds a lane that holds up to `capacity` blocks.
    pub fn subscribe(&mut self, capacity: usize) -> LaneReceiver {
        let lane = Arc::new(Lane {
            queue: Mutex::default(),
            room: Condvar::new(),
            capacity: capacity.max(1),
        });
        self.lanes.push(lane.clone());
        LaneReceiver(lane)
    }

    /// Gives a block to every receiver, waiting for those whose lane is full: nothing is lost.
    /// `false`: no receiver is left, or `stop` was set.
    pub fn publish(&mut self, block: SampleBlock, stop: &AtomicBool) -> bool {
        let block = SharedBlock::new(block, &self.pool);
        self.lanes.retain(|lane| {
            let mut queue = lock(&lane.queue);
            while queue.blocks.len() >= lane.capacity && !queue.closed {
                if stop.load(Ordering::Relaxed) {
                    return true;
                }
                queue = lane
                    .room
                    .wait_timeout(queue, STOP_TICK)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            if queue.closed {
                return false;
            }
            queue.blocks.push_back(block.clone());
            let waker = queue.waker.take();
            drop(queue);
            if let Some(waker) = waker {
                waker.wake();
            }
            true
        });
        !self.lanes.is_empty() && !stop.load(Ordering::Relaxed)
    }
}

impl Drop for Feed {
    /// Ends every lane, also when the source's thread panics.
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.update(|queue| queue.ended = true);
        }
    }
}

/// What a receiver finds in its lane.
#[derive(Debug)]
pub enum Next {
    /// The next block.
    Block(Arc<SharedBlock>),
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
        let ended = queue.ended;
        drop(queue);
        self.0.room.notify_one();
        match block {
            Some(block) => Next::Block(block),
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

    /// Wants no more blocks: the source no longer waits for this lane.
    pub fn close(&self) {
        let mut dropped = VecDeque::new();
        self.0.update(|queue| {
            queue.closed = true;
            queue.ended = true;
            std::mem::swap(&mut dropped, &mut queue.blocks);
        });
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
        let lanes = [feed.subscribe(8), feed.subscribe(8)];
        let stop = AtomicBool::new(false);
        for k in 0..5 {
            assert!(feed.publish(block(k), &stop));
        }
        drop(feed);
        for lane in &lanes {
            for k in 0..5 {
                let Next::Block(b) = lane.next() else { panic!("block {k} is missing") };
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
                    Next::Block(_) => seen += 1,
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
    fn buffers_come_back() {
        let mut feed = Feed::default();
        let lane = feed.subscribe(2);
        feed.publish(block(0), &AtomicBool::new(false));
        assert_eq!(feed.pool.take().samples.capacity(), 0);
        drop(lane.next());
        assert!(feed.pool.take().samples.capacity() >= 4);
    }
}

//! The load: many connections, all served by one thread that waits for whichever has an answer, so that it takes as
//! little as possible from the server beside it.
//!
//! In a closed loop each connection sends its next request when it has the answer to the one before: that shows how
//! many a server can answer. In an open loop requests are due at fixed times, whether or not those before are answered,
//! and how long an answer takes counts from when its request was due: whoever waits in front of a slow server is not
//! left out.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use super::super::meter::Waits;
use super::super::process;
use super::client::{Line, PATIENCE};
use super::requests::Asker;
use crate::failure::Failure;

/// Number of answers taken between two looks at the clocks of both processes, at the most.
const EVENTS: usize = 256;

/// Token of the timer among those of the connections.
const TIMER: u64 = u64::MAX;

/// Results of a load.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// The answers while it was measured, how long that was, and the processor time that both processes took for it.
    pub(super) answers: u64,
    pub(super) seconds: f64,
    pub(super) server_cpu_s: f64,
    pub(super) client_cpu_s: f64,
    /// All right answers, those before and after it included.
    pub(super) right: u64,
    /// All that were wrong.
    pub(super) wrong: u64,
    /// Text of the first wrong answer.
    pub(super) first_wrong: Option<String>,
}

impl Counted {
    pub(super) fn per_s(&self) -> f64 {
        self.answers as f64 / self.seconds
    }
}

/// Times at which a load is measured: for so long, after so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

/// The connections with what each of them asks, and the server's process.
pub(super) struct Load {
    callers: Vec<Caller>,
    epoll: OwnedFd,
    server_pid: u32,
}

struct Caller {
    line: Line,
    asker: Asker,
    /// Time at which its request was sent, or due; none when it has its answer.
    waiting_since: Option<Instant>,
    /// In an open loop, the number of the request that it sends next.
    next: u64,
}

impl Caller {
    fn send(&mut self, since: Instant) -> io::Result<()> {
        self.waiting_since = Some(since);
        self.line.send(self.asker.next())
    }

    /// Takes what has come. Gives since when the answer was waited for, if it is there.
    fn receive(&mut self, counted: &mut Counted) -> io::Result<Option<Instant>> {
        let Some(answer) = self.line.receive()? else { return Ok(None) };
        if self.asker.is_right(&answer) {
            counted.right += 1;
        } else {
            counted.wrong += 1;
            let told = || format!("{} {}", answer.status, String::from_utf8_lossy(answer.body));
            counted.first_wrong.get_or_insert_with(told);
        }
        Ok(self.waiting_since.take())
    }
}

impl Load {
    pub(super) fn new(lines: Vec<(Line, Asker)>, server_pid: u32) -> Result<Self, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        for (place, (line, _)) in lines.iter().enumerate() {
            let data = EventData::new_u64(place as u64);
            epoll::add(&epoll, line, data, EventFlags::IN).map_err(io::Error::from)?;
        }
        let callers = lines.into_iter().zip(0..);
        let callers = callers.map(|((line, asker), next)| Caller { line, asker, waiting_since: None, next }).collect();
        Ok(Self { callers, epoll, server_pid })
    }

    /// Waits until something has come, and tells on which connections.
    fn wait(&self, events: &mut [Event; EVENTS]) -> Result<usize, Failure> {
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        match epoll::wait(&self.epoll, &mut events[..], Some(&patience)).map_err(io::Error::from)? {
            0 => Err(Failure::new(format!("the server has not answered for {} seconds", PATIENCE.as_secs()))),
            some => Ok(some),
        }
    }

    /// A closed loop over all connections. Every request is answered when it ends.
    pub(super) fn closed(mut self, times: Times, waits: &mut Waits) -> Result<Counted, Failure> {
        let mut counted = Counted::default();
        let mut now = Instant::now();
        for caller in &mut self.callers {
            caller.send(now)?;
        }
        let mut window = Window::new(now + times.warm_up, times.measured, self.server_pid);
        let mut waiting = self.callers.len();
        let mut events = no_events();
        while waiting > 0 {
            let some = self.wait(&mut events)?;
            for event in &events[..some] {
                let caller = &mut self.callers[place(event)];
                let Some(since) = caller.receive(&mut counted)? else { continue };
                now = Instant::now();
                if window.is_open() {
                    counted.answers += 1;
                    waits.note(now - since);
                }
                if window.is_over() {
                    waiting -= 1;
                } else {
                    caller.send(now)?;
                }
            }
            window.look(now, &mut counted)?;
        }
        Ok(counted)
    }

    /// An open loop of so many requests a second, which the connections send by turns. Every request is answered when
    /// it ends.
    pub(super) fn open(mut self, per_s: f64, times: Times, waits: &mut Waits) -> Result<Counted, Failure> {
        let mut counted = Counted::default();
        let gap = Duration::from_secs_f64(1.0 / per_s);
        let timer = self.timer(gap)?;
        let began = Instant::now();
        let due = |number: u64| began + gap.mul_f64(number as f64);
        let measured_from = began + times.warm_up;
        let all = u64::try_from((times.warm_up + times.measured).as_nanos() / gap.as_nanos()).unwrap_or(u64::MAX);
        let connections = self.callers.len() as u64;
        let mut window = Window::new(measured_from, times.measured, self.server_pid);
        // The number of the request that is due next.
        let mut next_due = 0;
        let mut events = no_events();
        while counted.right + counted.wrong < all {
            let some = self.wait(&mut events)?;
            let mut now = Instant::now();
            for event in &events[..some] {
                if event.data.u64() == TIMER {
                    // The timer tells how often it has rung, which is no matter.
                    let _ = rustix::io::read(&timer, &mut [0; 8]);
                    continue;
                }
                let caller = &mut self.callers[place(event)];
                let Some(since) = caller.receive(&mut counted)? else { continue };
                now = Instant::now();
                if since >= measured_from {
                    waits.note(now - since);
                }
                if window.is_open() {
                    counted.answers += 1;
                }
                if caller.next < next_due {
                    let since = due(caller.next);
                    caller.next += connections;
                    caller.send(since)?;
                }
            }
            while next_due < all && due(next_due) <= now {
                let caller = &mut self.callers[turn(next_due % connections)];
                if caller.waiting_since.is_none() {
                    caller.next += connections;
                    caller.send(due(next_due))?;
                }
                next_due += 1;
            }
            window.look(now, &mut counted)?;
        }
        // The last request was due a moment before its end.
        window.close(&mut counted)?;
        Ok(counted)
    }

    /// A timer that rings so often, among the connections.
    fn timer(&self, every: Duration) -> io::Result<OwnedFd> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = Timespec { tv_sec: every.as_secs().cast_signed(), tv_nsec: every.subsec_nanos().into() };
        let times = Itimerspec { it_interval: every, it_value: every };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        epoll::add(&self.epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(timer)
    }
}

fn no_events() -> [Event; EVENTS] {
    [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS]
}

fn place(event: &Event) -> usize {
    let data = event.data;
    turn(data.u64())
}

fn turn(place: u64) -> usize {
    usize::try_from(place).expect("the place of a connection, of which there are few")
}

/// The time during which answers are counted, and what both processes had used of the processors when it began.
struct Window {
    begins: Instant,
    measured: Duration,
    server_pid: u32,
    began: Option<(Instant, f64, f64)>,
    over: bool,
}

impl Window {
    fn new(begins: Instant, measured: Duration, server_pid: u32) -> Self {
        Self { begins, measured, server_pid, began: None, over: false }
    }

    fn is_open(&self) -> bool {
        self.began.is_some() && !self.over
    }

    fn is_over(&self) -> bool {
        self.over
    }

    /// Opens or closes it when it is time to.
    fn look(&mut self, now: Instant, counted: &mut Counted) -> Result<(), Failure> {
        match self.began {
            None if now >= self.begins => {
                self.began = Some((Instant::now(), process::cpu_s_of(self.server_pid)?, process::cpu_s()?));
                Ok(())
            }
            Some((began, ..)) if began.elapsed() >= self.measured => self.close(counted),
            _ => Ok(()),
        }
    }

    /// Closes it, if it is open.
    fn close(&mut self, counted: &mut Counted) -> Result<(), Failure> {
        let Some((began, server_cpu_s, client_cpu_s)) = self.began.filter(|_| !self.over) else { return Ok(()) };
        self.over = true;
        counted.seconds = began.elapsed().as_secs_f64();
        counted.server_cpu_s = process::cpu_s_of(self.server_pid)? - server_cpu_s;
        counted.client_cpu_s = process::cpu_s()? - client_cpu_s;
        Ok(())
    }
}

//! The replica over real servers, which are killed, emptied, filled, cut off and stalled.

mod conforming;
mod cost;
mod faults;
mod following;
mod lasting;
mod network;
mod proxy;
mod server;
mod writer;

//! The service through its public face: the real binary, real processes, real sockets.

mod archive_faults;
mod archive_kills;
mod archive_outages;
mod archive_readers;
mod bad_input;
mod cold;
mod command_line;
mod cursor;
mod drain;
mod exact_bytes;
mod exports;
mod faults;
mod faults_children;
mod faults_stores;
mod formats;
mod instances;
mod objects_s3;
mod outages_remote;
mod seek;
mod service_life;
mod slow_viewer;
mod snapshot;
mod stock_tools;
mod store_postgres;
mod support;
mod tidy;

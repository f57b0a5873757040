//! One adapter a file: each implements a port of `runcast-actors` and alone knows its vendor.

mod client_runtime;
pub mod log_fjall;
pub mod memory_jemalloc;
pub mod objects_directory;
pub mod objects_s3;
pub mod peers_http;
pub mod process_group;
pub mod process_guard;
pub mod process_guard_main;
pub mod process_reaper;
pub mod process_spawner;
pub mod replica_redis;
pub mod runner_directory;
pub mod runner_environment;
pub mod runner_local;
pub mod runner_output;
pub mod runner_pipe;
pub mod runner_process;
pub mod runner_pty;
pub mod store_sql;
pub mod terminal_host_local;

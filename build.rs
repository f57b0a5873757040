//! Lets Cargo notice when the page was built, also for the first time.

fn main() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/player/app/dist");
    // A folder that is not there would count as changed in every build.
    if let Err(error) = std::fs::create_dir_all(folder) {
        println!("cargo::warning={folder}: {error}; each build compiles the service again");
    }
    println!("cargo::rerun-if-changed=player/app/dist");
}

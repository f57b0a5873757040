//! A Docker Engine: one of our own if we may start one, else that of the machine. Nothing is pulled.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;
use uuid::Uuid;

use super::process::{ServerProcess, folder};
use super::{program, root};

/// A Docker Engine that answers.
pub(crate) struct Engine {
    client: PathBuf,
    /// Of our own; none is that of the machine, wherever its client finds it.
    own: Option<(ServerProcess, String)>,
    /// What images and containers of this one are called, so that those of others are left alone.
    mark: String,
}

impl Engine {
    /// Starts one of our own as root. Else asks that of the machine, and panics if there is none.
    pub(crate) async fn start() -> Self {
        let mark = format!("runcast-test-{}", Uuid::new_v4().simple());
        let mut engine = Self { client: client(), own: None, mark };
        if rustix::process::geteuid().is_root() {
            engine.own = Some(start(&engine.client).await);
        } else {
            let told = engine.run(&["info"]).await;
            let why = String::from_utf8_lossy(&told.stderr);
            assert!(
                told.status.success(),
                "only root can start dockerd, and no engine of this machine answers: {why}; \
                 start docker and join the group docker, or run the tests as root"
            );
        }
        engine
    }

    /// A name for an image or a container.
    pub(crate) fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.mark)
    }

    /// Runs the client and gives what it says, without the line end.
    pub(crate) fn docker(&self, arguments: &[&str]) -> impl Future<Output = String> + use<> {
        let (line, running) = (arguments.join(" "), self.run(arguments));
        async move {
            let output = running.await;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "docker {line}: {errors}");
            String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
        }
    }

    /// What a container has logged.
    pub(crate) async fn logs(&self, container: &str) -> String {
        let output = self.run(&["logs", container]).await;
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }

    /// Makes a base image of Debian's packages on this machine.
    pub(crate) async fn import_debian(&self) -> String {
        let (image, tar) = (self.name("base"), folder("base").join("root.tar"));
        let file = std::fs::File::create(&tar).expect("a file");
        let script = root().join("scripts/debian-root.sh");
        let made = Command::new(&script).stdout(file).status().await.expect("the script runs");
        assert!(made.success(), "{}", script.display());
        self.docker(&["import", &tar.display().to_string(), &image]).await;
        std::fs::remove_dir_all(tar.parent().expect("a folder")).expect("it is ours");
        image
    }

    fn run(&self, arguments: &[&str]) -> impl Future<Output = Output> + use<> {
        let mut command = Command::new(&self.client);
        command.args(arguments).env("DOCKER_BUILDKIT", "1").kill_on_drop(true);
        if let Some((_, address)) = &self.own {
            command.env("DOCKER_HOST", address);
        }
        async move { command.output().await.expect("docker runs") }
    }
}

impl Drop for Engine {
    /// An engine of our own goes with everything it has.
    fn drop(&mut self) {
        if self.own.is_some() {
            return;
        }
        let (client, mark) = (self.client.display(), &self.mark);
        let script = format!(
            "{client} ps -aq --filter name={mark} | xargs -r {client} rm --force --volumes; \
             {client} images -q --filter reference='{mark}-*' | xargs -r {client} rmi --force"
        );
        let _ = std::process::Command::new("sh").arg("-c").arg(script).output();
    }
}

/// Debian's own, whose builder is part of it or beside it; else the one in the path.
fn client() -> PathBuf {
    let debian = Path::new("/usr/bin/docker");
    if debian.is_file() { debian.to_owned() } else { program("docker", &[]) }
}

/// A daemon without networks, so that nothing of this machine is changed: containers have that of the machine
/// or none.
async fn start(client: &Path) -> (ServerProcess, String) {
    let folder = folder("engine");
    let address = format!("unix://{}", folder.join("docker.sock").display());
    let options = format!(
        "--host={address} --data-root={0}/data --exec-root={0}/exec --pidfile={0}/docker.pid \
         --bridge=none --iptables=false --ip6tables=false",
        folder.display()
    );
    let daemon = program("dockerd", &[PathBuf::from("/usr/sbin")]);
    // What it mounts goes with it, also when it is killed.
    let mut command = ["unshare", "--mount", "--"].map(str::to_owned).to_vec();
    command.push(daemon.display().to_string());
    command.extend(options.split_whitespace().map(str::to_owned));
    let process = ServerProcess::start(&folder, "TERM", &command);
    let answers = async || {
        let asked = Command::new(client).arg("version").env("DOCKER_HOST", &address).output();
        asked.await.ok().filter(|told| told.status.success())
    };
    process.wait_ready("dockerd", answers).await;
    (process, address)
}

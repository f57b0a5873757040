//! Whether a session may be opened, and as what it begins.

use std::path::{Path, PathBuf};

use super::{OpenError, OpenSession, Registry, SessionManager};
use crate::entry::TerminalSize;
use crate::moment::Timestamp;
use crate::ports::TerminalCommand;
use crate::sessions::{SessionId, SessionKey, SessionState, SessionView};

impl SessionManager {
    pub(super) fn check_limits(
        &self,
        registry: &Registry,
        key: &SessionKey,
    ) -> Result<(), OpenError> {
        let limits = &self.settings.limits;
        let live = || registry.live().map(|handle| handle.key());
        let of_project =
            live().filter(|other| (&other.tenant, &other.project) == (&key.tenant, &key.project));
        let of_user = live().filter(|other| {
            key.user.is_some() && (&other.tenant, &other.user) == (&key.tenant, &key.user)
        });
        for (scope, count, max) in [
            ("in this project", of_project.count(), limits.max_per_project),
            ("of this user", of_user.count(), limits.max_per_user),
            ("on this instance", live().count(), limits.max_total),
        ] {
            if count >= max {
                return Err(OpenError::Limit { scope, max });
            }
        }
        Ok(())
    }

    pub(super) fn command(&self, request: &OpenSession) -> Result<TerminalCommand, OpenError> {
        let name = &request.key.profile;
        let Some(profile) = self.settings.profiles.get(name) else {
            let allowed = self.settings.profiles.keys().cloned().collect();
            return Err(OpenError::UnknownProfile { profile: name.clone(), allowed });
        };
        let program = profile.program();
        if !self.host.has_program(program) {
            return Err(OpenError::NotInstalled {
                profile: name.clone(),
                program: program.to_owned(),
            });
        }
        let directory = match &request.project_path {
            Some(path) => Some(self.allowed_directory(path)?),
            None => profile.directory.clone(),
        };
        let mut env = request.env.clone();
        env.retain(|name, _| profile.allows(name));
        let size = request.size.unwrap_or(self.settings.size);
        Ok(TerminalCommand { argv: profile.command.clone(), env, directory, size })
    }

    pub(super) fn allowed_directory(&self, path: &str) -> Result<PathBuf, OpenError> {
        let bad = |problem: &str| {
            Err(OpenError::BadPath { path: path.to_owned(), problem: problem.to_owned() })
        };
        if self.settings.roots.is_empty() {
            return bad("cannot be used: sessions.roots of the configuration is empty");
        }
        if !Path::new(path).is_absolute() {
            return bad("is not absolute");
        }
        let Some(directory) = self.host.directory(Path::new(path)) else {
            return bad("is no directory below one of sessions.roots");
        };
        if self.is_below_a_root(&directory) {
            return Ok(directory);
        }
        // The same words: it is not told what there is elsewhere.
        bad("is no directory below one of sessions.roots")
    }

    pub(super) fn is_below_a_root(&self, directory: &Path) -> bool {
        let roots = self.settings.roots.iter().filter_map(|root| self.host.directory(root));
        roots.into_iter().any(|root| directory.starts_with(root))
    }

    pub(super) fn first_view(
        &self,
        id: SessionId,
        now: Timestamp,
        request: &OpenSession,
        size: TerminalSize,
    ) -> SessionView {
        SessionView {
            id,
            project_id: request.key.project.clone(),
            user_id: request.key.user.clone(),
            profile: request.key.profile.clone(),
            tab_name: request.key.tab_name.clone(),
            state: SessionState::Creating,
            active: true,
            current_path: request.project_path.clone().unwrap_or_default(),
            project_path: request.project_path.clone(),
            pid: None,
            cols: size.cols,
            rows: size.rows,
            created_at: now,
            last_activity: now,
            persisted: false,
            attached: 0,
            restored_from: None,
            instance: self.instance.clone(),
            reason: None,
            message: None,
            exit_code: None,
            signal: None,
            ended_at: None,
        }
    }
}

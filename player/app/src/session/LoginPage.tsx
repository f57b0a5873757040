import { Button, PasswordInput } from "@mantine/core";
import { ApiError, type SessionAnswer } from "@runcast/react";
import { type FormEvent, useState } from "react";
import { client, messageOf } from "../service";
import { Wordmark } from "../shell/Wordmark";
import classes from "./login.module.css";

/** Takes a token, and gives a cookie that scripts cannot read. */
export function LoginPage({ onLogin }: { onLogin: (session: SessionAnswer) => void }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string>();
  const [isAsking, setIsAsking] = useState(false);

  const login = async (event: FormEvent) => {
    event.preventDefault();
    if (token.trim() === "") {
      setError("Enter a token.");
      return;
    }
    setIsAsking(true);
    setError(undefined);
    try {
      onLogin(await client.login(token.trim()));
    } catch (refusal) {
      const isUnknown = refusal instanceof ApiError && refusal.status === 401;
      setError(isUnknown ? "The service does not know this token." : messageOf(refusal));
      setIsAsking(false);
    }
  };

  return (
    <main className={classes.page}>
      <form className={classes.card} onSubmit={login}>
        <Wordmark />
        <h1 className={classes.title}>Sign in</h1>
        <p className={classes.text}>
          With an access token of this service. It is kept in a cookie for this browser only.
        </p>
        <PasswordInput
          label="Token"
          size="sm"
          value={token}
          onChange={(event) => setToken(event.currentTarget.value)}
          error={error}
          autoComplete="current-password"
          spellCheck={false}
          data-autofocus
          autoFocus
        />
        <Button type="submit" size="sm" variant="filled" fullWidth loading={isAsking}>
          Sign in
        </Button>
      </form>
    </main>
  );
}

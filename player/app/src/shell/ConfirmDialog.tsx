import { Button, Modal } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Prose } from "../format/Prose";
import { messageOf } from "../service";
import classes from "./shell.module.css";

interface ConfirmDialogProps {
  isOpen: boolean;
  title: string;
  /** What it does, in a sentence or two. */
  children: ReactNode;
  /** What the button that does it says; without it there is nothing to confirm. */
  action?: string | undefined;
  /** What the other button says. */
  decline?: string;
  /** It tells what came of it: else it closes when it has come through. A refusal is shown in any case. */
  staysOpen?: boolean;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
  /** What a refusal says to people. */
  explain?: (error: unknown) => string;
}

/** Asks before something that cannot be taken back. */
export function ConfirmDialog({
  isOpen,
  title,
  children,
  action,
  decline = "Keep it",
  staysOpen = false,
  onConfirm,
  onClose,
  explain = messageOf,
}: ConfirmDialogProps) {
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<string>();
  const close = () => {
    setError(undefined);
    onClose();
  };
  const confirm = async () => {
    setIsBusy(true);
    try {
      await onConfirm();
      if (staysOpen) setError(undefined);
      else close();
    } catch (refusal) {
      setError(explain(refusal));
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title={title}
      size="sm"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <div className={classes.question}>
        {children}
        {error && (
          <p className={classes.refusal} role="alert">
            <Prose text={error} />
          </p>
        )}
      </div>
      <div className={classes.answers}>
        <Button size="sm" onClick={close}>
          {action === undefined ? "Close" : decline}
        </Button>
        {action !== undefined && (
          <Button size="sm" variant="filled" color="red.8" loading={isBusy} onClick={confirm} data-autofocus>
            {action}
          </Button>
        )}
      </div>
    </Modal>
  );
}

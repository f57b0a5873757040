import { Kbd, Modal } from "@mantine/core";
import { SHORTCUT_GROUPS } from "../keyboard/shortcuts";
import classes from "./shell.module.css";

export function HelpDialog({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title="Keyboard shortcuts"
      size="lg"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <div className={classes.shortcuts}>
        {SHORTCUT_GROUPS.map((group) => (
          <section key={group.title}>
            <h3 className={classes.shortcutTitle}>{group.title}</h3>
            <dl className={classes.shortcutList}>
              {group.shortcuts.map((shortcut) => (
                <div key={shortcut.does}>
                  <dt>
                    {shortcut.keys.map((key) => (
                      <Kbd key={key}>{key}</Kbd>
                    ))}
                  </dt>
                  <dd>{shortcut.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Modal>
  );
}

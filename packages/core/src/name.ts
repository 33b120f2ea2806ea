/** The names that people give. Each has one form, so that two names that look alike are not one in one room and two in another. */

const hubName = /^[a-z0-9][a-z0-9-]{0,31}$/;
const appName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const roleName = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Whether `text` can name a hub: 1..32 of `a-z 0-9 -`, the first a letter or digit, as in a DNS label. */
export function isHubName(text: string): boolean {
  return hubName.test(text);
}

/** Whether `text` can name an app: 1..64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit; compared exactly. */
export function isAppName(text: string): boolean {
  return appName.test(text);
}

/** Whether `text` can name a role, an operator, a link or a sharing rule: 1..64 of `a-z 0-9 . _ -`, the first a letter or digit. */
export function isRoleName(text: string): boolean {
  return roleName.test(text);
}

/** What a project may be called, as the server says: it checks again. */
export function nameFault(name: string): "empty" | "long" | "letters" | null {
  if (!name) return "empty";
  if (name.length > 64) return "long";
  return /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/.test(name) ? null : "letters";
}

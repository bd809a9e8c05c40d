/** The mark, as in the browser's tab. Its name is said by what is around it. */
export function Logo({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="7" fill="var(--n-accent)" />
      <path d="M8 24V8h3.2l9.6 11.4V8H24v16h-3.2L11.2 12.6V24z" fill="var(--n-on-accent)" />
    </svg>
  );
}

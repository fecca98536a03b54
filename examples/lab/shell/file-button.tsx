interface FileButtonProps {
  readonly words: string;
  /** The types that are offered, as of the attribute `accept`. */
  readonly accept?: string;
  /** A folder with all that is in it, in place of files. */
  readonly isFolder?: boolean;
  readonly isSmall?: boolean;
  onFiles(files: readonly File[]): void;
}

/** A button that asks for files of this device. */
export function FileButton({ words, accept, isFolder, isSmall, onFiles }: FileButtonProps) {
  return (
    <label class={`file-button button${isSmall ? ' button-small' : ''}`}>
      {words}
      <input
        type="file"
        class="visually-hidden"
        multiple
        accept={accept}
        ref={input => {
          if (isFolder) input?.setAttribute('webkitdirectory', '');
        }}
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          if (files.length > 0) onFiles(files);
          // The same files may be chosen once more.
          currentTarget.value = '';
        }}
      />
    </label>
  );
}

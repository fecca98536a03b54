import { useEffect, useRef } from 'preact/hooks';
import { dropTarget } from '../../shell/drop.ts';
import { Examples } from '../../shell/examples.tsx';
import { Failure } from '../../shell/failure.tsx';
import { FileButton } from '../../shell/file-button.tsx';
import type { Work } from '../../shell/work.ts';
import type { LineExample } from './examples.ts';
import { ACCEPT, readTexts } from './files.ts';
import type { KeptText } from './kept-text.ts';
import { FaultList, LinesField, useSettledFaults } from './lines-field.tsx';
import type { LineFault } from './written-lines.ts';

interface LinesEditorProps {
  readonly label: string;
  readonly placeholder: string;
  /** What a line of a file has: "a label and a text". */
  readonly what: string;
  readonly lines: KeptText<LineExample>;
  readonly examples: readonly LineExample[];
  readonly reading: Work;
  readonly faults: readonly LineFault[];
  linesOfFile(name: string, text: string): string;
  onExample(): void;
}

/** The lines that are learned from, as they are written, pasted, or read of a file; and what is wrong with some. */
export function LinesEditor({ lines, reading, examples, linesOfFile, onExample, ...props }: LinesEditorProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  const faults = useSettledFaults(props.faults);
  const take = (files: readonly File[]) => {
    reading.run(async () => lines.replace(await readTexts(files, props.what, linesOfFile)));
  };
  useEffect(() => {
    dropTarget.value = { ...dropTarget.peek(), onFiles: take };
    return () => reading.clear();
  }, []);
  return (
    <div class="training-column">
      <LinesField
        label={props.label}
        placeholder={props.placeholder}
        value={lines.text.value}
        faults={faults}
        field={field}
        onInput={text => lines.write(text)}
      />
      <div class="training-sources">
        <Examples
          examples={examples}
          onPick={example => {
            lines.replace(example.lines);
            onExample();
          }}
        />
        <FileButton words="A file" accept={ACCEPT} isSmall onFiles={take} />
        {lines.before.value !== undefined && (
          <button type="button" class="button button-small" onClick={() => lines.bringBack()}>
            Back to my lines
          </button>
        )}
      </div>
      <Failure error={reading.error.value} />
      <FaultList faults={faults} field={field} />
    </div>
  );
}

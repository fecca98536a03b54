import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { count, megabytes, milliseconds } from '../../shell/format.ts';
import { ModelBar } from '../../shell/model-bar.tsx';
import { params } from '../../shell/route.ts';
import { WorkStatus } from '../../shell/work-status.tsx';
import type { DtypeResult } from './benchmark.ts';
import { jsonOf, markdownOf, perSecond, type Report, timeWords, workloadWords } from './report.ts';
import { DTYPES, dtypesOf, facts, measuring, readFacts, report, slot, start, step, toggleDtype } from './state.ts';
import './device.css';

const dtypeWords: Readonly<Record<string, string>> = {
  fp32: 'fp32, as computed by Python',
  fp16: 'fp16, half the memory',
  q8: 'q8, about a quarter',
};

export default function DeviceTab() {
  const address = params.value;
  const dtypes = dtypesOf(address);
  const choice = slot.choice.value;
  const isReady = slot.model !== undefined && choice !== undefined;
  useEffect(() => {
    void readFacts();
    // Other tabs would share the device with it. When one comes back, it can be begun again.
    return () => {
      if (measuring.isBusy.peek()) measuring.halt();
    };
  }, []);
  return (
    <>
      <ModelBar slot={slot} />
      <div class="device-start">
        <fieldset class="device-dtypes">
          <legend>Weights on the GPU</legend>
          {DTYPES.map(dtype => (
            <label key={dtype}>
              <input
                type="checkbox"
                checked={dtypes.includes(dtype)}
                onChange={() => toggleDtype(params.peek(), dtype)}
              />
              {dtypeWords[dtype]}
            </label>
          ))}
        </fieldset>
        <button
          type="button"
          class="button button-strong"
          disabled={!isReady || dtypes.length === 0}
          // It keeps the focus while it is busy.
          aria-disabled={measuring.isBusy.value}
          onClick={() => measuring.isBusy.value || start(choice!, dtypes)}
        >
          Measure this device
        </button>
      </div>
      <div class="device-status">
        <WorkStatus work={measuring} label={step.value || 'Measuring'} />
        {!report.value && !measuring.isBusy.value && (
          <p class="note">
            The model is loaded anew for each kind of weights, then run warm: a short sentence, eight sentences, a
            paragraph, and many texts at once. Some seconds on a GPU, a minute or more where the CPU does the work.
          </p>
        )}
      </div>
      {report.value && <Results report={report.value} />}
      <Facts />
    </>
  );
}

function Results({ report }: { report: Report }) {
  const { results, failures } = report;
  const [first] = results;
  const fastest = Math.max(...results.map(result => perSecond(result.measured.at(-1)!)));
  return (
    <section class="device-results" aria-label="Results">
      {first && (
        <>
          <ul class="device-rates">
            {results.map(result => (
              <Rate key={result.dtype} result={result} fastest={fastest} />
            ))}
          </ul>
          <div class="device-table">
            <table>
              <thead>
                <tr>
                  <th scope="col">One call</th>
                  {results.map(({ dtype }) => (
                    <th key={dtype} scope="col">
                      {dtype}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {first.measured.map((measured, i) => (
                  <tr key={measured.workload.name}>
                    <th scope="row">
                      {measured.workload.name} <span class="number">{workloadWords(measured)}</span>
                    </th>
                    {results.map(result => (
                      <td key={result.dtype}>{timeWords(result.measured[i]!)}</td>
                    ))}
                  </tr>
                ))}
                <tr>
                  <th scope="row">
                    Load <span class="number">files at hand, once</span>
                  </th>
                  {results.map(({ dtype, loadMs }) => (
                    <td key={dtype}>{milliseconds(loadMs)}</td>
                  ))}
                </tr>
                <tr>
                  <th scope="row">
                    Memory <span class="number">weights, and work</span>
                  </th>
                  {results.map(({ dtype, bytes }) => (
                    <td key={dtype}>
                      {megabytes(bytes.weights)}, {megabytes(bytes.activations)}
                    </td>
                  ))}
                </tr>
              </tbody>
            </table>
          </div>
          <p class="note">
            Medians of {first.measured.map(({ ms }) => ms.calls).join(', ')} warm calls; half of them took between the
            two times in brackets. From the call to numbers in JavaScript, tokenizer included, with whatever else this
            device was doing. The first call of each kind is not counted.
          </p>
        </>
      )}
      {failures.map(({ dtype, reason }) => (
        <p key={dtype} class="panel panel-warning" role="alert">
          {dtype} was not measured: {reason}
        </p>
      ))}
      <CopyReport report={report} />
    </section>
  );
}

/** Tokens a second of the largest workload, as a bar beside the others. */
function Rate({ result, fastest }: { result: DtypeResult; fastest: number }) {
  const rate = perSecond(result.measured.at(-1)!);
  return (
    <li>
      <span>{result.dtype}</span>
      <i style={{ '--share': rate / fastest }} />
      <strong>{count(Math.round(rate), 'token')} per second</strong>
    </li>
  );
}

function CopyReport({ report }: { report: Report }) {
  const said = useSignal('');
  const shown = useSignal<string | undefined>(undefined);
  const copy = async (text: string, name: string) => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = `${name} copied`;
      shown.value = undefined;
    } catch {
      // Without the permission it is shown, to be copied by hand.
      said.value = 'Copy it from here:';
      shown.value = text;
    }
  };
  return (
    <div class="device-copy">
      <button type="button" class="button" onClick={() => void copy(markdownOf(report), 'Markdown')}>
        Copy as Markdown
      </button>
      <button type="button" class="button" onClick={() => void copy(jsonOf(report), 'JSON')}>
        Copy as JSON
      </button>
      <span class="note" role="status">
        {said.value}
      </span>
      {shown.value !== undefined && (
        <textarea class="field" aria-label="Report" readOnly rows={8} value={shown.value} />
      )}
    </div>
  );
}

function Facts() {
  const device = facts.value;
  if (!device)
    return <p class="note">{device === null ? 'The browser names no graphics adapter.' : 'Asking the browser'}</p>;
  const { adapter, features, limits, browser, cores } = device;
  const rows = [
    ...Object.entries(adapter),
    ['features', features.join(', ') || 'none of those that the kernels use'],
    ...Object.entries(limits).map(([name, value]) => [name, limitWords(name, value)]),
    ['browser', browser],
    ['CPU threads', String(cores ?? 'not told')],
  ] as const;
  return (
    <section aria-label="This device">
      <h2>What the browser tells</h2>
      <dl class="facts device-facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const limitWords = (name: string, value: number): string =>
  /Size$/.test(name) && value >= 1e6
    ? `${megabytes(value)} (${value.toLocaleString('en')})`
    : value.toLocaleString('en');

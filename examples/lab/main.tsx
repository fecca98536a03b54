import { render } from 'preact';
import './style/tokens.css';
import './style/shell.css';
import './style/controls.css';
import './style/results.css';
import { App } from './shell/app.tsx';
import { keepFocus } from './shell/focus.ts';
import { useLocalModels } from './shell/local-models.ts';
import { keepOffline } from './shell/offline.ts';
import { followAddress } from './shell/route.ts';
import { tabs } from './tabs/index.ts';

followAddress(tabs.map(tab => tab.id));
useLocalModels();
const root = document.getElementById('lab')!;
root.replaceChildren();
render(<App />, root);
keepFocus(root);
keepOffline();

import '@backstage/ui/css/styles.css';
import { createApp } from '@backstage/frontend-defaults';
import apiDocsPlugin from '@backstage/plugin-api-docs/alpha';
import catalogPlugin from '@backstage/plugin-catalog/alpha';
import catalogGraphPlugin from '@backstage/plugin-catalog-graph/alpha';
import orgPlugin from '@backstage/plugin-org/alpha';
import ReactDOM from 'react-dom/client';

const app = createApp({ features: [catalogPlugin, catalogGraphPlugin, apiDocsPlugin, orgPlugin] });

ReactDOM.createRoot(document.getElementById('root')!).render(app.createRoot());

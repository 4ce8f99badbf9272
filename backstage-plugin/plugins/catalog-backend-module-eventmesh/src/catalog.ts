/** Asking the catalog, with the rights of the backend, and not for ever: whoever waits for an answer keeps others waiting. */

import type { AuthService } from '@backstage/backend-plugin-api';
import { CATALOG_FILTER_EXISTS, type GetEntitiesRequest } from '@backstage/catalog-client';
import type { Entity } from '@backstage/catalog-model';
import type { CatalogService } from '@backstage/plugin-catalog-node';

/** The annotation by which Backstage knows the workloads of a Component. */
export const KUBERNETES_ID = 'backstage.io/kubernetes-id';

const TIMEOUT_MS = 30_000;

export interface CatalogReaderOptions {
  catalog: CatalogService;
  auth: AuthService;
  timeoutMs?: number;
}

export class CatalogReader {
  constructor(private readonly options: CatalogReaderOptions) {}

  async entity(ref: string): Promise<Entity | undefined> {
    return this.inTime(async options => this.options.catalog.getEntityByRef(ref, options));
  }

  /** The Components with an id of workloads, and all Groups and Systems. Little of each. */
  async referable(): Promise<Entity[]> {
    return this.entities([
      { kind: 'component', [`metadata.annotations.${KUBERNETES_ID}`]: CATALOG_FILTER_EXISTS },
      { kind: ['group', 'system'] },
    ]);
  }

  /** All Users. */
  async users(): Promise<Entity[]> {
    return this.entities([{ kind: 'user' }]);
  }

  private async entities(filter: GetEntitiesRequest['filter']): Promise<Entity[]> {
    const request: GetEntitiesRequest = {
      filter,
      fields: ['kind', 'metadata.namespace', 'metadata.name', `metadata.annotations.${KUBERNETES_ID}`],
    };
    const { items } = await this.inTime(async options => this.options.catalog.getEntities(request, options));
    return items;
  }

  private async inTime<T>(ask: (options: Parameters<CatalogService['getEntities']>[1]) => Promise<T>): Promise<T> {
    const { auth, timeoutMs = TIMEOUT_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the catalog did not answer within ${timeoutMs / 1000} s`)), timeoutMs);
    });
    const answer = auth.getOwnServiceCredentials().then(credentials => ask({ credentials }));
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

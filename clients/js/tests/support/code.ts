/** Fetches the code that a client fetches later; what is not of one client is taken into use. */
import { fetchLater } from '../../src/client/code.ts';
import { fetchDiskCode } from '../../src/client/disk.ts';
import { fetchLocal } from '../../src/client/local-code.ts';
import { explainBy } from '../../src/errors.ts';
import { mergeBy } from '../../src/pending/queue.ts';
import { refreshBy } from '../../src/query/top.ts';
import { readFreeDates } from '../../src/values/here.ts';

await fetchDiskCode();
await fetchLocal();
const later = await fetchLater();
const { explain, freeUs, refreshTop } = later;
explainBy(explain);
readFreeDates(freeUs);
refreshBy(refreshTop);
mergeBy(later);

// A caller that a test kills while it waits for the answer: killed.js URL KEY_FILE.

import { PayOnce } from '../src/index.js';
import { FileKeyStore } from './stores.js';

const [url = '', file = ''] = process.argv.slice(2);
const payOnce = new PayOnce({ url, keys: new FileKeyStore(file), waitS: 1 });
await payOnce.payment('order-1').charge({ amount: 1001, currency: 'GBP', payment_method: 'pm_card_visa' });

import { sampleConfig } from '../shared/options/sample.ts';

// node scripts/config-sample.ts > keruta.config.yaml
process.stdout.write(sampleConfig());

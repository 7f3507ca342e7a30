// A life driven by Xen Orchestra's own connector against the fake XAPI. Argument: the URL. Prints one line of JSON
// a step; the Python side judges them.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [url, transport] = process.argv.slice(2)
const where = createRequire(process.cwd() + '/')
const { Xapi } = await import(pathToFileURL(where.resolve('xen-api')).href)
const say = (step, value) => console.log(JSON.stringify({ step, value }))

const xapi = new Xapi({
  url,
  transport,
  auth: { user: 'root', password: 'vnvme' },
  watchEvents: ['VM', 'VBD', 'VDI', 'SR', 'host', 'pool', 'task'],
  debounce: 10,
  eventPollDelay: 100,
})
await xapi.connect()
await xapi.objectsFetched
const objects = () => Object.values(xapi.objects.all)
say('connected', objects().map(o => o.$type).sort())

const until = async check => {
  while (true) {
    const found = check()
    if (found) return found
    await new Promise(resolve => xapi.objects.once('finish', resolve))
  }
}
const seen = ref => until(() => xapi.getObjectByRef(ref, undefined))

const ref = await xapi.call('VM.create', { name_label: 'from node', memory_static_max: 1 << 30 })
const vm = await seen(ref)
say('created', [vm.$type, vm.name_label, typeof vm.memory_static_max, vm.is_a_template, vm.other_config])

await vm.update_other_config('pci', '0/0000:01:00.0')
await vm.update_other_config('pci', '0/0000:01:00.1')
await until(() => xapi.getObjectByRef(ref).other_config.pci === '0/0000:01:00.1')
await vm.set_name_label('renamed')
await until(() => xapi.getObjectByRef(ref).name_label === 'renamed')
say('changed', xapi.getObjectByRef(ref).other_config)

await xapi.barrier()
say('barrier', true)

await xapi.callAsync('VM.start', ref, false, false)
await until(() => xapi.getObjectByRef(ref).power_state === 'Running')
say('started', Number(xapi.getObjectByRef(ref).domid) > 0)

const refused = await xapi.callAsync('VM.start', ref, false, false).catch(error => [error.code, error.params.length])
say('refused', refused)
say('unknown', await xapi.getRecord('VM', 'OpaqueRef:no').catch(error => [error.code, error.params]))

// the session ends under it: the connector must find its way back
await xapi.call('pool.add_to_other_config', xapi.pool.$ref, 'test:end-sessions', 'now')
await xapi.call('VM.hard_shutdown', ref)
await until(() => xapi.getObjectByRef(ref).power_state === 'Halted')
say('halted', true)

await xapi.call('VM.destroy', ref)
await until(() => xapi.getObjectByRef(ref, undefined) === undefined)
say('destroyed', objects().filter(o => o.$type === 'VM').length)
await xapi.disconnect()
process.exit(0)

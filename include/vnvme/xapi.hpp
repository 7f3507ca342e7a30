// The XAPI port: what vnvme reads of the toolstack's database, and the few
// fields it writes. Field names are XAPI's own (its datamodel); only fields
// that vnvme uses are kept, unknown ones are ignored, a missing one that
// matters makes the record unreadable.
//
// Nothing here retries an effect. Only a session that XAPI no longer knows is
// renewed and the call repeated: XAPI refused it before doing anything. An
// Error's outcome is `not_done` when XAPI answered with a refusal, or when the
// request never left; `unknown` when the answer was lost.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vnvme/ids.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::xapi {

// An OpaqueRef; empty for OpaqueRef:NULL. Never stored: uuids are for that.
using Ref = Id<struct XapiRefTag>;
using Map = std::map<std::string, std::string>;

enum class Class : std::uint8_t { vm, vbd, vdi, sr, pbd, host, pool };
inline constexpr std::size_t kClasses = 7;
// As in the name of a call: "VM", "VBD", "VDI", "SR", "PBD", "host", "pool".
std::string_view to_string(Class c) noexcept;

enum class PowerState : std::uint8_t { halted, paused, running, suspended };
std::string_view to_string(PowerState s) noexcept;

struct Vm {
  Ref ref;
  VmId uuid;
  std::string name_label;
  PowerState power_state = PowerState::halted;
  bool is_a_template = false, is_default_template = false, is_a_snapshot = false, is_control_domain = false;
  std::string domain_type;  // "hvm", "pv", "pvh", "pv_in_pvh", "unspecified"; empty on a XAPI that has no
                            // such field
  std::int64_t domid = -1;  // -1: no domain
  Ref resident_on, affinity, snapshot_of;
  std::int64_t memory_static_max = 0, memory_dynamic_min = 0, memory_dynamic_max = 0;  // bytes
  Map other_config, blocked_operations;
  Map current_operations;  // task -> operation, e.g. "start"
  std::vector<Ref> VBDs;
  friend bool operator==(const Vm&, const Vm&) = default;
};

struct Vbd {
  Ref ref;
  std::string uuid;
  Ref VM, VDI;
  std::string userdevice;  // "0", "4", ...: a number as text
  std::string device;      // "xvde"; empty while not attached
  std::string type;        // "Disk", "CD", "Floppy"
  std::string mode;        // "RW", "RO"
  bool currently_attached = false, empty = false;
  Map other_config;
  friend bool operator==(const Vbd&, const Vbd&) = default;
};

struct Vdi {
  Ref ref;
  std::string uuid;
  std::string location;  // for a SMAPIv3 SR: the volume's key
  std::string name_label;
  Ref SR, snapshot_of;
  std::int64_t virtual_size = 0;  // bytes
  bool is_a_snapshot = false, read_only = false, managed = true;
  Map other_config;
  friend bool operator==(const Vdi&, const Vdi&) = default;
};

struct Sr {
  Ref ref;
  SrId uuid;
  std::string name_label;
  std::string type;
  bool shared = false;
  std::vector<Ref> PBDs;
  Map other_config;
  friend bool operator==(const Sr&, const Sr&) = default;
};

struct Pbd {
  Ref ref;
  std::string uuid;
  Ref host, SR;
  Map device_config;
  bool currently_attached = false;
  Map other_config;
  friend bool operator==(const Pbd&, const Pbd&) = default;
};

struct Host {
  Ref ref;
  std::string uuid;
  std::string hostname, address;
  bool enabled = false;
  Map software_version, chipset_info;  // chipset_info: "iommu" -> "true"
  Map other_config;
  friend bool operator==(const Host&, const Host&) = default;
};

struct Pool {
  Ref ref;
  std::string uuid;
  Ref master;
  Map other_config;
  friend bool operator==(const Pool&, const Pool&) = default;
};

// The alternatives stand in the order of Class.
using Record = std::variant<Vm, Vbd, Vdi, Sr, Pbd, Host, Pool>;
const Ref& ref_of(const Record& record) noexcept;
inline Class class_of(const Record& record) noexcept {
  return static_cast<Class>(record.index());
}

// Everything that XAPI has of the watched classes, at one moment.
struct Picture {
  std::map<Ref, Vm> vms;
  std::map<Ref, Vbd> vbds;
  std::map<Ref, Vdi> vdis;
  std::map<Ref, Sr> srs;
  std::map<Ref, Pbd> pbds;
  std::map<Ref, Host> hosts;
  std::map<Ref, Pool> pools;
  // Objects whose record could not be read, with the reason. They exist: they are not absent.
  std::map<std::pair<Class, Ref>, std::string> unreadable;

  [[nodiscard]] std::size_t count(Class c) const;  // unreadable ones included
  // nullptr: not there.
  [[nodiscard]] const Vm* vm(const VmId& uuid) const;  // by uuid: a search
  template <class R>
  [[nodiscard]] static const R* find(const std::map<Ref, R>& in, const Ref& ref) {
    auto at = in.find(ref);
    return at == in.end() ? nullptr : &at->second;
  }
};

// Where an event.from goes on. Opaque; empty: from the beginning, and then the events are the whole database.
// A token is good only in the session that it came from: a restarted XAPI no longer knows what was deleted.
struct Cursor {
  std::string token;
  std::uint64_t session = 0;
  [[nodiscard]] bool empty() const { return token.empty(); }
};

struct Event {
  enum class Operation : std::uint8_t { added, modified, removed };
  Class cls = Class::vm;
  Operation operation = Operation::modified;
  Ref ref;
  std::int64_t id = 0;           // XAPI's generation of the database; later is larger
  std::optional<Record> record;  // as it is now; nothing when removed or unreadable
  std::string unreadable;        // why there is no record
};

struct EventBatch {
  std::vector<Event> events;
  // How many objects of each class there are. XAPI keeps only the last 256 to 512 deletions of a class
  // (ocaml/database/db_cache_types.ml, Table.remove) and forgets older ones without a word: only this number
  // tells. Nothing for a class that XAPI did not count.
  std::map<Class, std::uint64_t> counts;
  Cursor cursor;
};

enum class Field : std::uint8_t { other_config, blocked_operations, sm_config };

// message.create: what XO shows as an alert. `name` is a short identifier in capitals.
struct Message {
  std::string name;
  std::int64_t priority = 3;  // 1 data loss imminent ... 5 information
  Class cls = Class::pool;
  std::string uuid;  // of the object
  std::string body;  // UTF-8
};

class Xapi {
 public:
  virtual ~Xapi() = default;

  // Blocks in XAPI until something happened or `timeout` passed (then there are no events). Errc::conflict:
  // the cursor is void (another session, EVENTS_LOST): begin again with an empty one.
  virtual Task<Result<EventBatch>> events(std::vector<Class> classes, Cursor from,
                                          MonoClock::duration timeout, Deadline) = 0;

  // Reads. Errc::not_found is XAPI's word (HANDLE_INVALID, UUID_INVALID), never a guess.
  virtual Task<Result<Record>> get_record(Class, Ref, Deadline) = 0;
  virtual Task<Result<Ref>> get_by_uuid(Class, std::string uuid, Deadline) = 0;
  // XAPI's query language: field "uuid" = "..."; empty: all. Records that cannot be read make the call fail.
  virtual Task<Result<std::vector<Record>>> get_all_records_where(Class, std::string query, Deadline) = 0;
  virtual Task<Result<PowerState>> get_power_state(Ref vm, Deadline) = 0;
  // userdevice numbers that are free on that VM.
  virtual Task<Result<std::vector<std::string>>> get_allowed_VBD_devices(Ref vm, Deadline) = 0;

  // Makes key = value, whatever it was; idempotent. XAPI has no such call: an existing key is removed and
  // added again, so for a moment it is absent. Errc::busy: somebody else kept writing the same key. After a
  // failure between the two the outcome is `unknown`.
  virtual Task<Result<void>> set_key(Class, Ref, Field, std::string key, std::string value, Deadline) = 0;
  // Idempotent: XAPI says nothing when the key is absent.
  virtual Task<Result<void>> remove_key(Class, Ref, Field, std::string key, Deadline) = 0;
  virtual Task<Result<void>> set_userdevice(Ref vbd, std::string userdevice, Deadline) = 0;
  // Idempotent in XAPI. Runs the SR.attach script: may call us back.
  virtual Task<Result<void>> plug_pbd(Ref pbd, Deadline) = 0;
  // Runs SR.stat and SR.ls: may call us back.
  virtual Task<Result<void>> scan_sr(Ref sr, Deadline) = 0;
  // Not idempotent: two calls make two messages.
  virtual Task<Result<Ref>> create_message(Message, Deadline) = 0;

  // 0 until the first login; grows with each new session.
  [[nodiscard]] virtual std::uint64_t session() const = 0;
  // Why XAPI cannot be used, since when; empty when the last call went through. For people.
  [[nodiscard]] virtual std::string trouble() const = 0;
  [[nodiscard]] virtual const std::string& endpoint() const = 0;
};

struct Change {
  Event::Operation operation = Event::Operation::modified;
  Class cls = Class::vm;
  Ref ref;
  std::optional<Record> before;  // what was known of it; nothing when added
};

struct Delta {
  // The database was read anew (first time, after a doubt, or because it was time). `changes` then are the
  // differences from what was known before: nothing that matters was missed, but what came and went between
  // is not there.
  bool whole = false;
  std::vector<Change> changes;
};

// The whole picture first, then its changes, never missing one.
class Watch {
 public:
  virtual ~Watch() = default;
  // The first call answers with everything as `added`. Later ones wait for a change; an empty Delta means
  // that the deadline came and nothing had changed. An error says why XAPI could not be asked; the next call
  // begins, after a growing pause, with the whole picture again. One caller at a time. Give it a minute: with
  // less than a second left XAPI is not asked for changes at all.
  virtual Task<Result<Delta>> next(Deadline) = 0;
  // As of the last next(). References into it are void after the following one.
  [[nodiscard]] virtual const Picture& picture() const = 0;
  // Has it been read at all, and is XAPI answering?
  [[nodiscard]] virtual bool current() const = 0;
};

}  // namespace vnvme::xapi

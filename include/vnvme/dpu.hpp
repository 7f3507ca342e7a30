// The DPU port: what vnvme needs of a card, whatever its make. One
// implementation a family lives in src/dpu/<family>/; the services know only
// this file. Nothing here retries: an error says in its outcome whether the
// effect happened, and the caller decides (C3).
//
// Every call ends at its deadline. Absence is a positive answer (I2):
// "find_*" gives an empty optional only when the DPU said that the object is
// not there; every doubt is an error.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vnvme/ids.hpp"
#include "vnvme/result.hpp"
#include "vnvme/time.hpp"
#include "vnvme/units.hpp"

namespace vnvme::dpu {

struct Identity {
  std::string family;   // "spdk", "snap", ...
  std::string version;  // as the target says it
};

struct Capabilities {
  bool thin = false;
  bool snapshot = false;
  bool clone = false;
  bool resize = false;
  bool qos = false;
  bool late_binding = false;      // a volume is bound to a function at attach, not at creation
  bool create_functions = false;  // functions can be made at will (hot-plug, listeners)
  bool pci_functions = false;     // functions are PCI devices of this host
  bool allocation_known = false;  // DpuVolume::allocated is filled
  std::uint32_t namespaces_per_function = 1;
  std::size_t volume_name_bytes = 63;  // longest volume name
  std::vector<std::string> raid_levels;
  std::size_t max_functions = 0;  // all that there will ever be; 0: not limited by a number
  bool identity_chosen = true;    // namespaces show the uuid that expose() names, else one of their own
  std::string pool_name = {};     // the only name that a pool may have; empty: any
};

// A block device that the DPU owns and that could carry a pool.
struct Drive {
  std::string name;  // the DPU's own name of it (bdev name)
  std::string model;
  std::string serial;  // empty when the DPU does not tell
  Bytes size;
  std::uint32_t block_size = 512;
  bool claimed = false;        // something on the DPU uses it
  std::string used_by;         // what: a pool's or a RAID's name; empty when free
  bool volatile_data = false;  // RAM: loses everything with the DPU
};

struct Raid {
  std::string name;
  std::string level;                // "raid0", "raid1", "concat", ...
  std::vector<std::string> drives;  // names; a missing member is ""
  std::string state;                // "online", "configuring", "offline"
  std::uint32_t members = 0, working = 0;
  std::optional<double> rebuild_percent;
};

struct Pool {
  PoolId id;
  std::string name;
  std::string drive;  // name of the drive or RAID below it
  Bytes total, free, cluster;
};

struct DpuVolume {
  DpuVolumeId id;
  std::string name;  // inside its pool, without the pool's name
  PoolId pool;
  Bytes size;                      // 0 from list_volume_names()
  std::optional<Bytes> allocated;  // nothing when the DPU cannot tell
  bool thin = false;
  bool snapshot = false;
  bool read_only = false;
  std::string parent;                 // name of the snapshot it depends on; empty when none
  std::vector<std::string> children;  // names of clones of this snapshot
};

struct Function {
  FunctionId id;
  std::string bdf;     // host address 0000:BB:DD.F; empty while the host cannot see it
  std::string serial;  // of the NVMe controller on it; empty without one
  bool virtual_function = false;
  bool hotplugged = false;
  bool ready = false;    // has a controller of ours, started, visible to the host where it has a PCI side
  bool foreign = false;  // has a controller that is not ours: never touched
};

// Volume (or drive) B is namespace N of function F. Foreign ones are listed too: they count as in use.
struct Exposure {
  FunctionId function;
  std::uint32_t nsid = 0;
  std::string target;  // DpuVolumeId text, or a drive's name
  std::string uuid;    // namespace UUID as the host sees it
  bool foreign = false;
};

// What the DPU does with a volume's clusters when it is deleted. It is fixed at creation: SPDK applies it
// then.
enum class Clear { zero, unmap, none };

struct CreateVolume {
  PoolId pool;
  std::string name;
  Bytes size;
  bool thin = true;
  Clear clear = Clear::zero;
};

struct CreatePool {
  std::string name;
  std::string drive;  // a drive's or a RAID's name
  Bytes cluster;      // 0: the DPU's default
};

struct CreateRaid {
  std::string name;
  std::string level;
  std::uint32_t strip_kib = 0;  // 0: the level has none
  std::vector<std::string> drives;
};

struct Expose {
  FunctionId function;
  std::uint32_t nsid = 0;
  std::string target;  // DpuVolumeId text, or a drive's name
  std::string uuid;    // namespace UUID and NGUID to present
};

struct IoStat {
  std::uint64_t read_ops = 0, write_ops = 0, read_bytes = 0, write_bytes = 0;
};

// The name that the store has for the volume with that id; nothing for a volume that it does not know.
using NameOf = std::function<std::optional<std::string>(const DpuVolumeId&)>;

class Dpu {
 public:
  virtual ~Dpu() = default;

  // For families that show a volume by giving it a name that the card binds to a function: its own name
  // stands nowhere on the card meanwhile, and only the store can tell whose it is. Everywhere in this port
  // such a volume has its own name. Called before the first session.
  virtual void use_names(NameOf) {}

  // Connection. generation() is 0 until the first session is up, and grows with each new
  // session; a change means that the target may have restarted (P2): look before acting.
  [[nodiscard]] virtual std::uint64_t generation() const = 0;
  [[nodiscard]] virtual bool connected() const = 0;
  // Completes when generation() > seen and the session is up, or with timeout.
  virtual Task<Result<std::uint64_t>> wait_generation(std::uint64_t seen, Deadline) = 0;
  // Completes when the session that is up now is lost (or with timeout).
  virtual Task<Result<void>> wait_lost(Deadline) = 0;
  virtual Task<Result<Identity>> identify(Deadline) = 0;
  // Of the latest session; asked of the target when the session began, not assumed from a name.
  [[nodiscard]] virtual const Capabilities& capabilities() const = 0;
  // "unix:/path" or "tcp:127.0.0.1:port"
  [[nodiscard]] virtual const std::string& endpoint() const = 0;
  // Why it is not connected, since when; empty when it is. For health texts.
  [[nodiscard]] virtual std::string trouble() const = 0;

  // Drives, RAIDs, pools.
  virtual Task<Result<std::vector<Drive>>> list_drives(Deadline) = 0;
  virtual Task<Result<std::vector<Raid>>> list_raids(Deadline) = 0;
  virtual Task<Result<void>> create_raid(CreateRaid, Deadline) = 0;
  virtual Task<Result<void>> delete_raid(std::string name, Deadline) = 0;
  // Waits until the DPU has looked at all its drives; a pool absent afterwards is absent.
  virtual Task<Result<void>> settle(Deadline) = 0;
  virtual Task<Result<std::vector<Pool>>> list_pools(Deadline) = 0;
  virtual Task<Result<PoolId>> create_pool(CreatePool, Deadline) = 0;
  // Deletes the pool with EVERYTHING in it without asking: the caller has listed it in the same lane (I1).
  virtual Task<Result<void>> delete_pool(PoolId, Deadline) = 0;

  // Completes when no change of that pool (empty: of drives and pools) is under way, be it one whose answer
  // is overdue: from then on what is not there does not come any more (C3). `busy` when the deadline comes
  // first.
  virtual Task<Result<void>> quiet(PoolId, Deadline) { co_return Result<void>{}; }

  // Volumes. Sizes are rounded up by the DPU; read them back (I5).
  // Full records of one pool, or of all pools when pool is empty.
  virtual Task<Result<std::vector<DpuVolume>>> list_volumes(PoolId pool, Deadline) = 0;
  // Cheap listing for revalidation: id, name, pool, flags; size is 0. Falls back to the full one.
  virtual Task<Result<std::vector<DpuVolume>>> list_volume_names(PoolId pool, Deadline) = 0;
  virtual Task<Result<std::optional<DpuVolume>>> find_volume(PoolId pool, std::string name, Deadline) = 0;
  virtual Task<Result<std::optional<DpuVolume>>> find_volume(DpuVolumeId id, Deadline) = 0;
  virtual Task<Result<DpuVolumeId>> create_volume(CreateVolume, Deadline) = 0;
  virtual Task<Result<DpuVolumeId>> snapshot_volume(DpuVolumeId source, std::string name, Deadline) = 0;
  virtual Task<Result<DpuVolumeId>> clone_volume(DpuVolumeId snapshot, std::string name, Deadline) = 0;
  // Grow only; the implementation refuses a size below the present one (risk: SPDK truncates and says busy).
  virtual Task<Result<void>> resize_volume(DpuVolumeId, Bytes new_size, Deadline) = 0;
  // Cuts off what is beyond `size` and clears it as it is cleared at deletion: for what was destroyed
  // already. Only for a volume that is neither a snapshot nor exposed: SPDK truncates an exported one, then
  // says busy (so list exposures first, in the same lane). At or below that size already: success.
  virtual Task<Result<void>> shrink_volume(DpuVolumeId, Bytes size, Deadline) = 0;
  virtual Task<Result<void>> rename_volume(DpuVolumeId, std::string name, Deadline) = 0;
  virtual Task<Result<void>> set_read_only(DpuVolumeId, Deadline) = 0;
  virtual Task<Result<void>> inflate_volume(DpuVolumeId, Deadline) = 0;
  virtual Task<Result<void>> decouple_volume(DpuVolumeId, Deadline) = 0;
  // Real SPDK deletes an exported, busy volume and answers true: list exposures first, in the same lane (I1).
  virtual Task<Result<void>> delete_volume(DpuVolumeId, Deadline) = 0;
  virtual Task<Result<void>> set_qos(DpuVolumeId, std::uint64_t iops, std::uint64_t mib_per_s, Deadline) = 0;
  virtual Task<Result<IoStat>> io_stat(DpuVolumeId, Deadline) = 0;

  // Functions and exposures.
  virtual Task<Result<std::vector<Function>>> list_functions(Deadline) = 0;
  // Makes a function of ours with that serial (at most 20 ASCII bytes): an idle VF gets a controller, or a
  // function is hot-plugged. Idempotent by serial: an existing one is completed and returned.
  // `preferred` is the function that had it before: taken again when it is idle, because a running guest
  // holds that very PCI device; another one is taken only when that is gone.
  virtual Task<Result<Function>> open_function(std::string serial, Deadline, FunctionId preferred = {}) = 0;
  // The mirror image; refuses (in_use) while it has namespaces. Absent: success.
  virtual Task<Result<void>> close_function(FunctionId, Deadline) = 0;
  virtual Task<Result<std::vector<Exposure>>> list_exposures(Deadline) = 0;
  // Idempotent: the same exposure already there is success; another one on that nsid is conflict. Without
  // `identity_chosen` the uuid is not shown to the host: list_exposures() tells which one is.
  virtual Task<Result<void>> expose(Expose, Deadline) = 0;
  // Absent: success.
  virtual Task<Result<void>> unexpose(FunctionId, std::uint32_t nsid, Deadline) = 0;

  // Ends the session and every call in flight with `cancelled`. Further calls fail.
  virtual void shutdown() = 0;
};

}  // namespace vnvme::dpu

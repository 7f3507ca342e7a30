// What all services share: the records, the store behind them, the links to
// the DPUs, the guards. One thread: everything here runs on one executor.
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/world.hpp"
#include "service/changes.hpp"
#include "service/lane.hpp"
#include "vnvme/dpu.hpp"
#include "vnvme/events.hpp"
#include "vnvme/host.hpp"
#include "vnvme/store.hpp"
#include "vnvme/xapi.hpp"

namespace vnvme::service {

class Link;

// What the composition root gives. All outlive the services.
struct Ports {
  boost::asio::any_io_executor executor;
  Store& store;
  host::Pci& pci;
  host::Domains& domains;
  host::BlockDevices& blocks;
  EventLog& events;
  // Makes the client of the DPU at that URI ("unix:/path", "tcp:127.0.0.1:4420"); refuses bad URIs.
  std::function<Result<std::unique_ptr<dpu::Dpu>>(const DpuId&)> open_dpu;
  // The toolstack; null where functions are reserved by hand.
  xapi::Xapi* xapi = nullptr;
  xapi::Watch* watch = nullptr;
};

struct Options {
  std::map<std::string, DpuId> dpu_names;  // names of the configuration file -> URI
  std::string marker_path = "/run/vnvme/marker";
  MonoClock::duration idle_before_release =
      std::chrono::seconds(2);                               // no I/O for that long (design, point 4)
  MonoClock::duration word_grace = std::chrono::seconds(5);  // past a call's deadline, then it is collected
  MonoClock::duration limbo = std::chrono::seconds(5);       // before an unknown outcome is looked at again
  std::size_t remembered_requests = 1000;
  std::size_t spare_functions = 0;  // of each DPU, where there is a toolstack to follow
  Bytes wipe_piece = GiB(1);        // the least that is erased at a time; more where the DPU is fast
};

// What a call that makes a volume leaves behind until the front-end says the word (R5).
struct Pending {
  VolumeRecord volume;
  IntentRecord intent;
  Deadline deadline;
};

class Core {
 public:
  Core(Ports ports, Options options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Reads the store. Everything else comes after it.
  Task<Result<void>> load();
  // Durable first, then seen: the world changes only when the store has it. An error: nothing has changed.
  Task<Result<void>> commit(Changes changes);

  // The link to that DPU, made when it is asked for first. `dpu` is a URI.
  Result<Link*> link(const DpuId& dpu);
  // A name of the configuration file, or a URI as it is.
  [[nodiscard]] DpuId resolve_dpu(const std::string& name_or_uri) const;
  [[nodiscard]] const std::map<DpuId, std::unique_ptr<Link>>& links() const { return links_; }

  Task<Result<Lane::Hold>> guard(const VolumeId& id, std::string what, Deadline d) {
    return guards.acquire("volume " + id.value, std::move(what), d);
  }
  Task<Result<Lane::Hold>> guard(const SrId& id, std::string what, Deadline d) {
    return guards.acquire("SR " + id.value, std::move(what), d);
  }

  // Runs a coroutine in the background; counted, so that stop() can wait for it.
  void spawn(std::function<Task<void>()> body);
  [[nodiscard]] std::size_t running() const { return running_; }
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_; }

  void event(std::string_view level, const std::string& object, const std::string& text);

  Ports ports;
  const Options options;
  model::World world;
  Guards guards;
  std::map<RequestId, Pending> pending;
  std::set<std::uint64_t> live_intents;  // being worked on by a call right now: not the reconciler's business
  std::multiset<VolumeId> pinned;  // hidden snapshots that a clone is being made from: not to be merged now
  // Namespaces that were there when the store had been lost: perhaps a running guest's, so never swept.
  std::set<std::pair<FunctionId, std::uint32_t>> inherited;
  // An exposure may be there that nobody wants (a look at a drive that went wrong): swept soon, not in a
  // while.
  bool sweep_soon = false;
  // Releases whose commit failed (disk full): the housekeeper commits them when it can.
  std::vector<std::pair<VolumeId, std::string>> unstored_releases;
  Signal work;      // something for the housekeeper
  Signal released;  // an attachment went away
  Signal spares;    // a spare function was taken
  bool fresh_store = false;

 private:
  std::map<DpuId, std::unique_ptr<Link>> links_;
  std::size_t running_ = 0;
  bool stopping_ = false;
};

// Marks an intent as being worked on as long as it lives.
class LiveIntent {
 public:
  LiveIntent(Core& core, std::uint64_t id) : core_(&core), id_(id) { core_->live_intents.insert(id_); }
  LiveIntent(const LiveIntent&) = delete;
  LiveIntent& operator=(const LiveIntent&) = delete;
  ~LiveIntent() { core_->live_intents.erase(id_); }

 private:
  Core* core_;
  std::uint64_t id_;
};

}  // namespace vnvme::service

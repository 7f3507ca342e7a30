// One SPDK target: calls with a deadline, an outcome and an error text that
// names step, object, peer and elapsed time. Reads and mutations have a
// connection each, so that a long mutation never blocks a listing.
#pragma once
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "dpu/spdk/dialect.hpp"
#include "rpc/asio/client.hpp"
#include "rpc/asio/lanes.hpp"

namespace vnvme::dpu::spdk {

using Params = nlohmann::json;  // an object; null: no params member at all
using rpc::Keep;

inline constexpr auto kShortCall = std::chrono::seconds(10);
inline constexpr auto kListCall = std::chrono::seconds(30);
// For calls that end only when the work is done: the caller's own deadline counts.
inline constexpr auto kLongCall = std::chrono::hours(24);

struct Step {
  std::string method;
  Params params = nullptr;
  std::string object = {};  // what it is about, for the error text
  MonoClock::duration cap = kShortCall;
};

// What cannot be asked of a target, because its methods are called like everybody's.
struct Quirks {
  // bdev_raid_create takes `persist` and `split_dp` (Kalray), and keeps the RAID over a restart.
  bool raid_persists = false;
};

class Target {
 public:
  Target(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector, rpc::Client::Options options,
         Quirks quirks = {});

  // Read only. An Error is complete: classified, with step and peer.
  Task<Result<rpc::Answer>> read(Step step, Deadline deadline);
  // Changes something; `lane` must be what lane() gave, and is held until the target has answered.
  Task<Result<rpc::Answer>> change(Step step, Keep lane, Deadline deadline);
  // The same for calls whose result is `true`.
  Task<Result<void>> change_true(Step step, Keep lane, Deadline deadline);
  // The lane of one lvol store, or of the functions. `busy` names the holder.
  Task<Result<Keep>> lane(std::string name, std::string what, Deadline deadline);

  [[nodiscard]] const Dialect& dialect() const { return *dialect_; }
  [[nodiscard]] Dialect& dialect() { return *dialect_; }
  [[nodiscard]] const std::string& endpoint() const { return client_.endpoint(); }
  [[nodiscard]] const Quirks& quirks() const { return quirks_; }
  rpc::Client& client() { return client_; }
  [[nodiscard]] const rpc::Client& client() const { return client_; }
  // Begins to connect. Each session asks rpc_get_methods and spdk_get_version first.
  void start();

  // A refusal of ours, with step and peer: nothing was sent.
  [[nodiscard]] tl::unexpected<Error> refuse(Errc code, std::string step, std::string text) const;
  // Puts step, object and peer into an error that came from decoding an answer.
  Error unreadable(const Step& step, Error error, Outcome outcome) const;

 private:
  rpc::Client client_;
  rpc::Lanes lanes_;
  const Quirks quirks_;
  // Shared with the session's probe, which may end a moment after this object.
  std::shared_ptr<Dialect> dialect_ = std::make_shared<Dialect>();
};

}  // namespace vnvme::dpu::spdk

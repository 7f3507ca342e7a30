// The back-end of the markers ("close at birth", host/marker.hpp): watches
// xenstore for the nodes of our VBDs and closes each as soon as xenopsd no
// longer needs it open. Keeps nothing: after a restart, a lost connection and
// once a minute everything is looked at anew, so nothing is missed for long.
#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "host/marker.hpp"
#include "host/xenstore_connection.hpp"

namespace vnvme::host {

class MarkerBackend {
 public:
  // tell(level, object, text): what an administrator should know.
  using Tell = std::function<void(std::string_view, const std::string&, const std::string&)>;
  MarkerBackend(std::string socket_path, Tell tell) : path_(std::move(socket_path)), tell_(std::move(tell)) {}

  // Until stop(); must have ended before this object goes.
  Task<void> run();
  void stop();
  [[nodiscard]] bool running() const { return running_; }
  // Why xenstore cannot be watched; empty when it is.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  // One connection's life: ends with its error, or after a minute.
  Task<Result<void>> serve();
  Task<Result<void>> look(XenstoreConnection& xenstore, MarkerPath at, Deadline);
  Task<Result<void>> look_at_domain(XenstoreConnection& xenstore, std::uint32_t domid, Deadline);
  Task<Result<void>> settle(XenstoreConnection& xenstore, std::uint32_t domid, std::uint32_t device,
                            Deadline);
  Task<Result<MarkerNode>> read(XenstoreConnection& xenstore, std::uint32_t transaction, std::string node,
                                Deadline);
  void warn(std::uint32_t domid, std::uint32_t device, MarkerAction action);

  std::string path_;
  Tell tell_;
  std::string trouble_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> told_;  // of what is there now
  XenstoreConnection* watching_ = nullptr;
  Timer* pausing_ = nullptr;
  bool running_ = false, stopping_ = false;
};

}  // namespace vnvme::host

// Tells people in XAPI (message.create) what they should look at
// (model/notices.hpp, model/trouble.hpp). message.create is not idempotent, so
// the attempt is durable before it is made: a lost answer, or a daemon that
// dies over it, costs at most one doubled message.
#pragma once
#include "model/trouble.hpp"
#include "service/core.hpp"

namespace vnvme::service {

class Messenger {
 public:
  explicit Messenger(Core& core) : core_(core) {}
  // Until Core::stop(). At once when there is no XAPI.
  Task<void> run();
  // Looks, and tells what is due.
  Task<void> round();

 private:
  using Lists = std::map<PoolId, std::optional<model::Observed>>;
  Task<model::DpusSeen> look();
  Task<std::map<DpuId, std::vector<dpu::Raid>>> raids();
  Task<Lists> doubtful_lists();
  void read_events();
  Task<bool> tell(model::Notices::Key key);
  Task<bool> save();

  Core& core_;
  model::Notices notices_;
  std::uint64_t read_ = 0;  // events that were read
  std::string trouble_;
};

}  // namespace vnvme::service

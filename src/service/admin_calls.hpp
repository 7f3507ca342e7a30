// The verbs of the `vnvme` command (include/vnvme/admin.hpp), answered with
// what the daemon has in memory; only drives, functions, pools and doctor ask the DPU.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "service/datapath_calls.hpp"
#include "service/trash.hpp"

namespace vnvme::service {

class AdminCalls {
 public:
  AdminCalls(Core& core, Trash& trash);
  Task<Result<nlohmann::json>> call(std::string verb, nlohmann::json args, Deadline deadline);

 private:
  using Json = nlohmann::json;
  Json status();
  Json srs();
  Json busy();
  Json wipes();
  Json dpus();
  Json volumes(const std::string& sr);
  Json attachments();
  Json events(const Json& args);
  Task<Result<Json>> drives(Json args, Deadline);
  Task<Result<Json>> pools(Deadline);
  Task<Result<Json>> functions(Deadline);
  Task<Result<Json>> doctor(Deadline);
  Task<Result<Json>> reserve(Json args, Deadline);
  Task<Result<Json>> unreserve(Json args, Deadline);
  Task<Result<Json>> adopt(Json args, Deadline);
  Result<Link*> the_link(const Json& args);

  Core& core_;
  Trash& trash_;
  MonoClock::time_point started_;
};

}  // namespace vnvme::service

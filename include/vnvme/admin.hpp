// The administrator's side of the daemon: verbs of the `vnvme` command,
// answered with JSON. One request a line on /run/vnvme/admin.sock:
//   {"verb":"volumes","args":{...}}  ->  {"result":...} | {"error":{"code":"not_found","text":"..."}}
// Verbs that follow ("events" with {"follow":true}) answer many lines.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme {

class AdminHandler {
 public:
  virtual ~AdminHandler() = default;
  // status, dpu, drives, pools, volumes, functions, attachments, events, doctor: read only.
  // reserve, unreserve, adopt, retry: change something. Errc::invalid_argument names an unknown verb.
  virtual Task<Result<nlohmann::json>> admin(std::string verb, nlohmann::json args, Deadline) = 0;
};

}  // namespace vnvme

// XAPI in memory, for tests in one process: sessions, a database with
// generations, event.from computed as the real one does (ocaml/xapi/xapi_event.ml:
// a difference of the database since a token, deletions kept only for a while),
// its refusals, and faults at chosen calls.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "rpc/asio/stream.hpp"

namespace vnvme::test {

enum class XapiFault {
  none,
  refuse,         // connecting fails
  write_error,    // the request cannot be written
  lost_before,    // the request is read, the connection closes, nothing was done
  lost_after,     // it was done, and the connection closes
  silent_before,  // no answer, and nothing was done
  silent_after,   // no answer, but it was done
  cut,            // half of the answer, then the end
  garbage,        // bytes that are no HTTP
  html_500,       // XAPI's own page when something broke inside
  not_found_404,
  no_json,   // HTTP, but no JSON
  other_id,  // the answer to another call
  both,
  neither,     // result and error, or none of them
  wrong_type,  // a number where something else is due
  doubled,     // the answer twice on one connection
  session_invalid,
  still_booting,
  internal_error,
  in_progress,     // OTHER_OPERATION_IN_PROGRESS
  restart_before,  // XAPI restarts instead of answering
  restart_after,   // XAPI restarts when it has done it
};
const std::vector<XapiFault>& all_xapi_faults();
std::string name_of(XapiFault fault);

struct XapiCall {
  std::string method;
  Json params;
};

class FakeXapiStream;

class FakeXapi {
 public:
  explicit FakeXapi(boost::asio::io_context& io);
  ~FakeXapi();
  std::unique_ptr<rpc::Connector> connector();

  // The database. A record is complete from the start; `fields` overrides. Answers the ref.
  std::string add(const std::string& cls, Json fields = Json::object());
  void set(const std::string& ref, const std::string& field, Json value);
  void remove(const std::string& ref);
  [[nodiscard]] const Json* find(const std::string& ref) const;  // nullptr: not there
  [[nodiscard]] std::size_t count(const std::string& cls) const;
  [[nodiscard]] const std::string& class_of(const std::string& ref) const;
  // Sessions are gone, deletions forgotten, connections closed. For `booting` calls it then says so.
  void restart(int booting = 0);
  void forget_deletions();
  void end_sessions() { sessions_.clear(); }

  std::vector<XapiCall> calls;
  std::function<XapiFault(const XapiCall&)> fault = [](const XapiCall&) { return XapiFault::none; };
  std::function<void(Json&)> mangle;                   // the answer of event.from, before it is sent
  std::function<void(const XapiCall&)> before, after;  // other tools at work
  bool refuse = false;
  std::size_t chunk = SIZE_MAX;  // bytes a read
  std::size_t logins = 0, whole = 0;
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }
  [[nodiscard]] std::size_t open_streams() const { return streams_.size(); }

 private:
  friend class FakeXapiStream;
  friend class FakeXapiConnector;
  struct Row {
    std::string cls;
    Json record;
    std::int64_t created = 0, modified = 0;
  };
  struct Gone {
    std::string cls, ref;
    std::int64_t created, deleted;
  };
  struct Said {
    Json value;
    std::vector<std::string> error;  // code and parameters; empty: a result
  };
  static Said refused(std::string code, std::vector<std::string> params = {});
  Said dispatch(const XapiCall& call);
  Said with_session(const XapiCall& call, const std::string& cls, const std::string& what);
  Said change_map(const XapiCall& call, const std::string& cls, const std::string& what);
  Said create_message(const XapiCall& call);
  Json events(const std::set<std::string>& classes, std::int64_t since, bool* any);
  void wake();

  boost::asio::io_context& io_;
  std::map<std::string, Row> rows_;
  std::deque<Gone> gone_;
  std::set<std::string> sessions_;
  std::set<FakeXapiStream*> streams_;
  std::int64_t generation_ = 100;
  std::uint64_t next_ = 1;
  int booting_ = 0;
};

}  // namespace vnvme::test

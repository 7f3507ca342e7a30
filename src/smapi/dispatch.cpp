#include "smapi/dispatch.hpp"

#include "smapi/errors.hpp"
#include "smapi/methods.hpp"

namespace vnvme::smapi {
namespace {

Context context_of(const CallFrame& call, const char* method) {
  return Context{call.id, method, call.sr_type, call.deadline};
}

// What the request is about, for error parameters; read leniently, because the request may be the error.
ErrorSubject subject_of(std::string method, const std::string& body) {
  ErrorSubject s{std::move(method), {}, {}};
  auto json = parse_json(body);
  if (!json) return s;
  auto take = [&json](std::string_view name) {
    auto text = text_of(*json, name).value_or("");
    return text.size() > kIdLimit ? std::string() : text;
  };
  s.sr = take("sr");
  s.volume = take("key");
  if (s.method == "Volume.revert" && s.volume.empty()) s.volume = take("snapshot");
  if (s.sr.empty()) s.sr = take("uuid");
  if (const Json* configuration = member(*json, "configuration"); configuration != nullptr && s.sr.empty())
    s.sr = text_of(*configuration, "sr_uuid").value_or("").substr(0, kIdLimit);
  if (auto uri = text_of(*json, "uri")) {
    auto target = parse_uri(*uri);
    s.sr = target ? target->sr.value : "";
    s.volume = target ? target->volume.value : uri->substr(0, kIdLimit);
  }
  return s;
}

Answer error_answer(const Error& error, const char* method, const std::string& body) {
  return Answer{frame::Type::error, 0, encode_error(error, subject_of(method, body))};
}

Error too_large(const char* method, std::size_t size) {
  return Error{Errc::internal, Outcome::done,
               std::string(method) + ": the answer has " + std::to_string(size) + " bytes; the limit is " +
                   std::to_string(frame::kAnswerLimit) + ". Use a second SR for some of the volumes."};
}

}  // namespace

Task<Answer> dispatch(Handler& handler, CallFrame call) {
  const auto* facts = find_method(call.method.data(), call.method.size());
  const auto* method = facts == nullptr ? nullptr : find_daemon_method(facts->name);
  if (method == nullptr) {
    Answer none{frame::Type::error, 0, encode_unimplemented(call.method)};
    co_return none;
  }
  // The same request again, after a lost connection: what was made visible is answered again, not made again
  // (R1).
  if (facts->needs_word) {
    auto known = handler.recall(call.id);
    if (known) {
      Answer again{frame::Type::result, 0, std::move(*known)};
      co_return again;
    }
  }
  auto args = Args::parse(facts->name, call.body);
  if (!args) co_return error_answer(args.error(), facts->name, call.body);
  auto context = context_of(call, facts->name);
  auto result = co_await method->run(handler, std::move(context), std::move(*args));
  if (result && result->size() > frame::kAnswerLimit) result = fail(too_large(facts->name, result->size()));
  if (!result) co_return error_answer(result.error(), facts->name, call.body);
  Answer answer{frame::Type::result, facts->needs_word ? frame::kNeedsWord : std::uint8_t{0},
                std::move(*result)};
  co_return answer;
}

Task<Answer> confirm(Handler& handler, CallFrame call, std::string answer) {
  const auto* facts = find_method(call.method.data(), call.method.size());
  if (facts == nullptr) {
    Answer none{frame::Type::error, 0, encode_unimplemented(call.method)};
    co_return none;
  }
  auto context = context_of(call, facts->name);
  auto visible = co_await handler.printing(std::move(context), std::move(answer));
  if (!visible) co_return error_answer(visible.error(), facts->name, call.body);
  Answer go{frame::Type::print, 0, {}};
  co_return go;
}

}  // namespace vnvme::smapi

r"""Settings that other objects ask for: declared with type and default, changed while all runs.

A setting has, in this order: the value that was set here, the environment variable OBJECTS_NAME of
the station, the default.

    curl http://127.0.0.1:8001/objects/config_environment
    {"environment": "development", "settings": {"debug": true, "greeting": "Hello",
     "page_size": 20, "service_url": "", "api_key": ""}}

    curl 'http://127.0.0.1:8001/objects/config_environment?name=page_size'
    {"name": "page_size", "value": 20, "from": "default"}

    curl -X PUT http://127.0.0.1:8001/objects/config_environment \
         -H 'Content-Type: application/json' -d '{"name": "page_size", "value": 50}'
    {"name": "page_size", "value": 50, "from": "set"}

    curl -X PUT http://127.0.0.1:8001/objects/config_environment \
         -H 'Content-Type: application/json' -d '{"name": "page_size", "value": "many"}'
    {"error": "page_size must be int"}

    curl -X PUT http://127.0.0.1:8001/objects/config_environment \
         -H 'Content-Type: application/json' -d '{"name": "api_key", "value": "s3cret"}'
    {"name": "api_key", "value": "********", "from": "set"}

    curl -X DELETE 'http://127.0.0.1:8001/objects/config_environment?name=page_size'
    {"name": "page_size", "value": 20, "from": "default"}

Another object reads one with

    _runtime.call_object("config_environment", "GET", {"name": "page_size"})["value"]

A secret is shown to objects only, whose calls have a request.caller: a client sees it masked.
"""

import os

__endpoint__ = {
    "name": "environment",
    "version": "1.0.0",
    "description": "Settings for other objects: declared, checked, changed at run time",
    "author": "objectd",
}

# name: (default, is it a secret?). The type of the default is the type of the setting.
SETTINGS = {
    "debug": (True, False),
    "greeting": ("Hello", False),
    "page_size": (20, False),
    "service_url": ("", False),
    "api_key": ("", True),
}
DEFAULTS_OF = {  # what is different where
    "production": {"debug": False},
    "test": {"page_size": 3},
}
MASK = "********"


def environment():
    return os.environ.get("OBJECTS_ENVIRONMENT", "development")


def parse(text, kind):
    """The text of an environment variable as that type; None: it is none."""
    if kind is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False,
                "no": False}.get(text.lower())
    try:
        return kind(text)
    except ValueError:
        return None


def look_up(name):
    """(value, where it is from)"""
    default = DEFAULTS_OF.get(environment(), {}).get(name, SETTINGS[name][0])
    value = _state_manager.get(name)
    if value is not None:
        return value, "set"
    text = os.environ.get("OBJECTS_" + name.upper())
    if text is not None:
        value = parse(text, type(default))
        if value is not None:
            return value, "environment"
        _logger.warning("not usable", variable="OBJECTS_" + name.upper())
    return default, "default"


def is_from_outside(request):
    return hasattr(request, "caller") and request.caller is None


def shown(name, value, request):
    return MASK if SETTINGS[name][1] and value and is_from_outside(request) else value


def setting(name, request):
    value, source = look_up(name)
    return {"name": name, "value": shown(name, value, request), "from": source}


def unknown(name):
    return {"error": f"no setting {name}: there are " + ", ".join(SETTINGS)}, 404


def GET(request):
    name = request.get("name")
    if name is None:
        return {"environment": environment(),
                "settings": {n: shown(n, look_up(n)[0], request) for n in SETTINGS}}
    return setting(name, request) if name in SETTINGS else unknown(name)


def PUT(request):
    name, value = request.get("name"), request.get("value")
    if name not in SETTINGS:
        return unknown(name)
    kind = type(SETTINGS[name][0])
    if type(value) is not kind:
        return {"error": f"{name} must be {kind.__name__}"}, 400
    _state_manager.set(name, value)
    _logger.info("set", setting=name)
    return setting(name, request)


def DELETE(request):
    name = request.get("name")
    if name not in SETTINGS:
        return unknown(name)
    _state_manager.delete(name)
    return setting(name, request)


# --- tests ---


class Outside(dict):
    caller = None


def test_set_beats_environment_beats_default():
    DELETE({"name": "greeting"})
    os.environ.pop("OBJECTS_GREETING", None)
    assert look_up("greeting") == ("Hello", "default")
    os.environ["OBJECTS_GREETING"] = "Hi"
    assert look_up("greeting") == ("Hi", "environment")
    PUT({"name": "greeting", "value": "Good day"})
    assert look_up("greeting") == ("Good day", "set")


def test_variables_have_the_type_of_the_default():
    DELETE({"name": "debug"})
    for text, value in (("no", False), ("1", True), ("FALSE", False)):
        os.environ["OBJECTS_DEBUG"] = text
        assert look_up("debug") == (value, "environment")
    os.environ["OBJECTS_DEBUG"] = "perhaps"
    assert look_up("debug")[1] == "default"


def test_production_has_defaults_of_its_own():
    DELETE({"name": "debug"})
    os.environ.pop("OBJECTS_DEBUG", None)
    os.environ["OBJECTS_ENVIRONMENT"] = "production"
    assert look_up("debug") == (False, "default")


def test_types_are_checked():
    for name, value in (("page_size", "5"), ("page_size", True), ("debug", 1), ("greeting", None),
                        ("greeting", ["Hi"])):
        assert PUT({"name": name, "value": value})[1] == 400, (name, value)
    assert PUT({"name": "nothing", "value": 1})[1] == 404


def test_a_secret_is_for_objects_only():
    PUT({"name": "api_key", "value": "s3cret"})
    assert GET({"name": "api_key"})["value"] == "s3cret"
    assert GET(Outside(name="api_key"))["value"] == MASK
    assert GET(Outside())["settings"]["api_key"] == MASK

"""What `restoration.apply` is made of: how a picture is cut, computed and joined; files in turn, shared, resumed."""

save()
return taken()
